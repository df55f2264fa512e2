//! The hash map of the loops: hashbrown with one multiplication as its hash.

use std::hash::{BuildHasherDefault, Hasher};

/// A map by a `u32` key.
pub type Map<V> = hashbrown::HashMap<u32, V, BuildHasherDefault<Fold>>;

/// Both halves of a 128-bit product.
#[derive(Clone, Copy, Default)]
pub struct Fold(u64);

impl Hasher for Fold {
    #[inline(always)]
    fn write_u32(&mut self, v: u32) {
        let p = u128::from(u64::from(v) ^ 0xA076_1D64_78BD_642F) * 0xE703_7ED1_A0B4_28DB;
        self.0 = (p as u64) ^ ((p >> 64) as u64);
    }
    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|b| self.write_u32(self.0 as u32 ^ u32::from(*b)));
    }
    fn finish(&self) -> u64 {
        self.0
    }
}
