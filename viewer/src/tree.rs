//! What a page leads to: the pages that it names, those that they name, and so on.
//! Pure: it knows pages and names of links, and asks for what lies in a page.

use std::collections::{BTreeSet, VecDeque};

/// How far a walk goes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Links from the root on.
    pub(crate) depth: usize,
    /// Pages in all.
    pub(crate) pages: usize,
    /// Pages that one names.
    pub(crate) links: usize,
}

/// A link to a page: what it is called, and where it leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) name: String,
    pub(crate) page: u64,
}

/// What lies in a page, with the pages that it names.
#[derive(Clone, Debug)]
pub(crate) struct Found<T> {
    pub(crate) what: T,
    pub(crate) links: Vec<Link>,
}

/// A page of a walk.
#[derive(Clone, Debug)]
pub(crate) struct Node<T> {
    pub(crate) page: u64,
    /// What the link to it is called; empty of the root.
    pub(crate) name: String,
    /// How many links it is from the root.
    pub(crate) depth: usize,
    /// The place of the page that leads to it.
    pub(crate) parent: Option<usize>,
    pub(crate) what: T,
    /// The links to pages that stand elsewhere in the tree.
    pub(crate) also: Vec<Link>,
    /// The first link that was not followed, and how many there are.
    pub(crate) left: Option<(Link, usize)>,
}

/// A walk, each page once, after the one that leads to it.
#[derive(Clone, Debug)]
pub(crate) struct Walk<T> {
    pub(crate) nodes: Vec<Node<T>>,
}

impl<T> Walk<T> {
    /// The pages that are the nearest to the root come first, each once, however
    /// many name it. A page of which nothing is found has no place in the tree.
    pub(crate) fn from<E>(
        root: u64,
        bounds: Bounds,
        mut found_in: impl FnMut(u64) -> Result<Option<Found<T>>, E>,
        mut goes_on: impl FnMut() -> bool,
    ) -> Result<Self, E> {
        let mut nodes: Vec<Node<T>> = Vec::new();
        let mut known = BTreeSet::from([root]);
        let mut waiting = VecDeque::from([(None, Link::root(root), 0)]);
        while let Some((parent, link, depth)) = waiting.pop_front() {
            // The root is always looked at.
            if parent.is_some() && (nodes.len() >= bounds.pages || !goes_on()) {
                leave(&mut nodes, parent, link);
                continue;
            }
            let Some(found) = found_in(link.page)? else {
                continue;
            };
            let place = nodes.len();
            let mut node = Node {
                page: link.page,
                name: link.name,
                depth,
                parent,
                what: found.what,
                also: Vec::new(),
                left: None,
            };
            let mut followed = 0;
            for link in found.links {
                if link.page == node.page {
                    continue;
                }
                if known.contains(&link.page) {
                    if node.also.len() < bounds.links {
                        node.also.push(link);
                    }
                } else if depth < bounds.depth && followed < bounds.links {
                    known.insert(link.page);
                    waiting.push_back((Some(place), link, depth + 1));
                    followed += 1;
                } else {
                    node.leave(link);
                }
            }
            nodes.push(node);
        }
        Ok(Self { nodes })
    }

    /// The places of the pages as a tree is read: each before those that it leads
    /// to, and these before what comes after it.
    pub(crate) fn in_order(&self) -> Vec<usize> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (place, node) in self.nodes.iter().enumerate().rev() {
            if let Some(parent) = node.parent {
                children[parent].push(place);
            }
        }
        let mut order = Vec::with_capacity(self.nodes.len());
        let mut waiting: Vec<usize> = (0..self.nodes.len().min(1)).collect();
        while let Some(place) = waiting.pop() {
            order.push(place);
            waiting.append(&mut children[place]);
        }
        order
    }

    /// How many links were not followed.
    pub(crate) fn left(&self) -> usize {
        let left = self.nodes.iter().filter_map(|node| node.left.as_ref());
        left.map(|(_, count)| count).sum()
    }
}

impl<T> Node<T> {
    fn leave(&mut self, link: Link) {
        match &mut self.left {
            Some((_, count)) => *count += 1,
            None => self.left = Some((link, 1)),
        }
    }
}

impl Link {
    fn root(page: u64) -> Self {
        Self {
            name: String::new(),
            page,
        }
    }
}

fn leave<T>(nodes: &mut [Node<T>], parent: Option<usize>, link: Link) {
    if let Some(node) = parent.and_then(|parent| nodes.get_mut(parent)) {
        node.leave(link);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds {
        depth: 3,
        pages: 100,
        links: 10,
    };

    /// Pages that name those which a function says; page 99 is not there.
    fn walk(bounds: Bounds, names: impl Fn(u64) -> Vec<u64>) -> Walk<()> {
        let found = |page| -> Result<_, std::convert::Infallible> {
            let links = names(page).into_iter().map(|page| Link {
                name: format!("to {page}"),
                page,
            });
            Ok((page != 99).then(|| Found {
                what: (),
                links: links.collect(),
            }))
        };
        let Ok(walk) = Walk::from(0, bounds, found, || true);
        walk
    }

    fn pages(walk: &Walk<()>) -> Vec<(u64, usize)> {
        let order = walk.in_order().into_iter();
        order
            .map(|place| (walk.nodes[place].page, walk.nodes[place].depth))
            .collect()
    }

    #[test]
    fn pages_stand_below_the_one_that_names_them_in_its_order() {
        let walk = walk(BOUNDS, |page| match page {
            0 => vec![5, 3, 99],
            5 => vec![8],
            3 => vec![9, 7],
            _ => Vec::new(),
        });
        assert_eq!(
            pages(&walk),
            [(0, 0), (5, 1), (8, 2), (3, 1), (9, 2), (7, 2)]
        );
        assert_eq!(walk.left(), 0);
    }

    #[test]
    fn circle_and_a_page_that_several_name_end() {
        let walk = walk(BOUNDS, |page| match page {
            0 => vec![0, 1, 2],
            1 => vec![2, 3],
            3 => vec![0, 3],
            _ => Vec::new(),
        });
        assert_eq!(pages(&walk), [(0, 0), (1, 1), (3, 2), (2, 1)]);
        let also: Vec<Vec<u64>> = walk
            .nodes
            .iter()
            .map(|node| node.also.iter().map(|link| link.page).collect())
            .collect();
        assert_eq!(also, [vec![], vec![2], vec![], vec![0]]);
    }

    #[test]
    fn what_is_beyond_the_bounds_is_counted() {
        // A chain is followed as deep as it may be.
        let chain = walk(BOUNDS, |page| vec![page + 1]);
        assert_eq!(pages(&chain), [(0, 0), (1, 1), (2, 2), (3, 3)]);
        let last = &chain.nodes[3];
        assert_eq!(last.left.as_ref().map(|(link, _)| link.page), Some(4));
        // Of many, the first.
        let wide = walk(BOUNDS, |page| (page * 20 + 1..=page * 20 + 20).collect());
        assert_eq!(wide.nodes.len(), 100);
        assert_eq!(wide.nodes[0].left.as_ref().map(|left| left.1), Some(10));
        let followed = wide.nodes.len() - 1;
        assert_eq!(wide.left() + followed, wide.nodes.len() * 20);
    }

    #[test]
    fn root_is_looked_at_when_there_is_no_time() {
        let found = |_| -> Result<_, std::convert::Infallible> {
            let link = Link {
                name: "next".to_owned(),
                page: 1,
            };
            Ok(Some(Found {
                what: (),
                links: vec![link],
            }))
        };
        let Ok(walk) = Walk::from(0, BOUNDS, found, || false);
        assert_eq!((walk.nodes.len(), walk.left()), (1, 1));
    }
}
