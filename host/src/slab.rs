//! [`Slab`]: values under small numbers, for what guests hold handles of.

use wasmtime::{Result, ensure};

/// Values under numbers that are used again.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    entries: Vec<Option<T>>,
    vacant: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            vacant: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Adds a value; its number is never `u32::MAX`.
    pub(crate) fn insert(&mut self, value: T) -> Result<u32> {
        if let Some(key) = self.vacant.pop() {
            self.entries[key as usize] = Some(value);
            return Ok(key);
        }
        let key = u32::try_from(self.entries.len()).unwrap_or(u32::MAX);
        ensure!(key < u32::MAX, "too many handles");
        self.entries.push(Some(value));
        Ok(key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() - self.vacant.len()
    }

    pub(crate) fn get(&self, key: u32) -> Option<&T> {
        self.entries.get(key as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, key: u32) -> Option<&mut T> {
        self.entries.get_mut(key as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, key: u32) -> Option<T> {
        let value = self.entries.get_mut(key as usize)?.take()?;
        self.vacant.push(key);
        Some(value)
    }

    /// Takes a value out whose number it is to have again.
    pub(crate) fn take(&mut self, key: u32) -> Option<T> {
        self.entries.get_mut(key as usize)?.take()
    }

    /// Puts back what was taken.
    pub(crate) fn put(&mut self, key: u32, value: T) {
        if let Some(entry) = self.entries.get_mut(key as usize) {
            *entry = Some(value);
        }
    }

    pub(crate) fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.entries.iter_mut().flatten()
    }
}
