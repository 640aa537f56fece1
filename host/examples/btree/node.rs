//! A node of the tree, and its bytes in a page.
//!
//! | Offset | Bytes | Is |
//! |---|---|---|
//! | 0 | 1 | `L`, a leaf, or `B`, a branch; 0 in a page of zeros, which is an empty leaf |
//! | 1 | 1 | 0 |
//! | 2 | 2 | how many entries follow |
//! | 4 | 8 | of a branch: its first child |
//! | | | the entries; of a leaf: length of the key (2), length of the value (2), key, value; of a branch: length of the key (2), child (8), key |
//!
//! Numbers are little-endian. What follows the last entry is zeros.

use pagebox::ProtectedId;

/// A node in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// Keys and values, in the order of the keys.
    Leaf(Vec<(Vec<u8>, Vec<u8>)>),
    /// Children, and the keys between them: what is below `children[n]` is less than
    /// `keys[n]`, and that is not more than what is below `children[n + 1]`.
    Branch {
        keys: Vec<Vec<u8>>,
        children: Vec<ProtectedId>,
    },
}

const LEAF_HEAD: usize = 4;
const BRANCH_HEAD: usize = 12;

/// The longest key and value together: four fit into a page, so that each half of a
/// node that is split has room for at least one.
pub fn longest(page_size: usize) -> usize {
    (page_size - BRANCH_HEAD) / 4 - 10
}

impl Node {
    /// The node in a page; none: these bytes are no node.
    pub fn decode(page: &[u8]) -> Option<Self> {
        let mut bytes = Bytes(page);
        let [kind, 0] = bytes.array()? else {
            return None;
        };
        let count = bytes.short()?;
        match kind {
            0 if count == 0 => Some(Self::Leaf(Vec::new())),
            b'L' => (0..count)
                .map(|_| {
                    let (key, value) = (bytes.short()?, bytes.short()?);
                    Some((bytes.take(key)?.to_vec(), bytes.take(value)?.to_vec()))
                })
                .collect::<Option<_>>()
                .map(Self::Leaf),
            b'B' => {
                let mut keys = Vec::new();
                let mut children = vec![bytes.id()?];
                for _ in 0..count {
                    let key = bytes.short()?;
                    children.push(bytes.id()?);
                    keys.push(bytes.take(key)?.to_vec());
                }
                Some(Self::Branch { keys, children })
            }
            _ => None,
        }
    }

    /// What it takes of a page.
    pub fn len(&self) -> usize {
        match self {
            Self::Leaf(entries) => LEAF_HEAD + entries.iter().map(leaf_entry).sum::<usize>(),
            Self::Branch { keys, .. } => {
                BRANCH_HEAD + keys.iter().map(|key| 10 + key.len()).sum::<usize>()
            }
        }
    }

    /// Writes it to a page that it fits into.
    pub fn encode(&self, page: &mut [u8]) {
        let mut bytes = Vec::with_capacity(page.len());
        match self {
            Self::Leaf(entries) => {
                bytes.extend([b'L', 0]);
                bytes.extend(short(entries.len()));
                for (key, value) in entries {
                    bytes.extend(short(key.len()));
                    bytes.extend(short(value.len()));
                    bytes.extend(key);
                    bytes.extend(value);
                }
            }
            Self::Branch { keys, children } => {
                bytes.extend([b'B', 0]);
                bytes.extend(short(keys.len()));
                bytes.extend(children[0].get().to_le_bytes());
                for (key, child) in keys.iter().zip(&children[1..]) {
                    bytes.extend(short(key.len()));
                    bytes.extend(child.get().to_le_bytes());
                    bytes.extend(key);
                }
            }
        }
        let (used, rest) = page.split_at_mut(bytes.len());
        used.copy_from_slice(&bytes);
        rest.fill(0);
    }

    /// Takes the upper half away, by bytes; the key between both.
    pub fn split(&mut self) -> (Vec<u8>, Self) {
        let half = self.len() / 2;
        match self {
            Self::Leaf(entries) => {
                let upper = entries.split_off(middle(entries.iter().map(leaf_entry), half));
                (upper[0].0.clone(), Self::Leaf(upper))
            }
            Self::Branch { keys, children } => {
                let at = middle(keys.iter().map(|key| 10 + key.len()), half);
                let upper = Self::Branch {
                    keys: keys.split_off(at + 1),
                    children: children.split_off(at + 1),
                };
                (keys.pop().expect("the one in the middle"), upper)
            }
        }
    }
}

fn leaf_entry((key, value): &(Vec<u8>, Vec<u8>)) -> usize {
    4 + key.len() + value.len()
}

/// The entry at which the first half of the bytes is full; neither the first nor, where
/// there are three, the last.
fn middle(lens: impl ExactSizeIterator<Item = usize>, half: usize) -> usize {
    let (count, mut sum) = (lens.len(), 0);
    let mut lens = lens;
    let full = lens.position(|len| {
        sum += len;
        sum > half
    });
    full.unwrap_or(count)
        .clamp(1, count.saturating_sub(2).max(1))
}

/// A length of at most that of a page, which is less than 2^16 for what is in it.
fn short(len: usize) -> [u8; 2] {
    u16::try_from(len)
        .expect("a length in a page")
        .to_le_bytes()
}

/// Bytes that have not been read yet.
struct Bytes<'p>(&'p [u8]);

impl<'p> Bytes<'p> {
    fn take(&mut self, len: usize) -> Option<&'p [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn short(&mut self) -> Option<usize> {
        self.array().map(|bytes| u16::from_le_bytes(bytes).into())
    }

    fn id(&mut self) -> Option<ProtectedId> {
        self.array()
            .map(|bytes| ProtectedId::new(u64::from_le_bytes(bytes)))
    }
}
