//! Where the keys of a part stand, which are in the order of their hashes: a sign every now and then.

use super::damaged;
use highwater_engine::error::OperatorError;
use highwater_engine::state::codec::{Reader, Writer};

/// Bytes from one sign of a directory to the next, at least.
const SIGN_BYTES: usize = 512;

/// Where the keys of a part stand.
pub struct Directory {
    signs: Vec<Sign>,
    /// The order of the last key.
    last: u32,
    /// Tests lower it.
    pub sign_bytes: usize,
}

/// Keys of this order, or a greater one, begin at `at`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sign {
    order: u32,
    at: usize,
}

impl Default for Directory {
    fn default() -> Self {
        Self { signs: Vec::new(), last: 0, sign_bytes: SIGN_BYTES }
    }
}

impl Directory {
    /// The next key, of this order, begins at `at`. Keys of one order stand behind one sign.
    #[inline(always)]
    pub fn pass(&mut self, order: u32, at: usize) {
        debug_assert!(order >= self.last, "keys come in order");
        let due = match self.signs.last() {
            None => true,
            Some(sign) => at >= sign.at + self.sign_bytes && order > self.last,
        };
        if due {
            self.signs.push(Sign { order, at });
        }
        self.last = order;
    }

    /// Where to look for keys of this order; `None` if there are none.
    pub(super) fn before(&self, order: u32) -> Option<usize> {
        let behind = self.signs.partition_point(|sign| sign.order <= order);
        Some(self.signs[behind.checked_sub(1)?].at)
    }

    /// Bytes held.
    pub fn memory(&self) -> usize {
        self.signs.len() * size_of::<Sign>()
    }

    /// Writes it.
    pub fn write(&self, to: &mut Writer) {
        to.count(self.signs.len() as u64);
        to.words(&self.signs.iter().map(|sign| i64::from(sign.order)).collect::<Vec<_>>());
        to.words(&self.signs.iter().map(|sign| sign.at as i64).collect::<Vec<_>>());
    }

    /// Reads one of keys that take so many bytes.
    pub fn read(from: &mut Reader<'_>, bytes: usize) -> Result<Self, OperatorError> {
        let signs = usize::try_from(from.count()?).ok().filter(|signs| *signs <= bytes);
        let signs = signs.ok_or_else(|| damaged("impossible length"))?;
        let (orders, places) = (from.words(signs)?, from.words(signs)?);
        let sign = |(order, at): (i64, i64)| Some(Sign { order: order.try_into().ok()?, at: at.try_into().ok()? });
        let signs: Option<Vec<Sign>> = orders.into_iter().zip(places).map(sign).collect();
        let signs = signs.filter(|signs| signs.is_sorted_by(|a, b| a.order < b.order && a.at < b.at));
        match signs.filter(|signs| signs.last().is_none_or(|last| last.at < bytes)) {
            Some(signs) => Ok(Self { signs, ..Self::default() }),
            None => Err(damaged("its directory is not in order")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_directory_leads_to_the_first_key_of_every_order(
            mut orders in prop::collection::vec(prop_oneof![0u32..20, any::<u32>()], 0..200),
            sign_bytes in 0usize..40,
        ) {
            orders.sort_unstable();
            let mut directory = Directory { sign_bytes, ..Directory::default() };
            orders.iter().enumerate().for_each(|(i, order)| directory.pass(*order, i * 10));
            let mut to = Writer::new();
            directory.write(&mut to);
            let bytes = to.finish();
            let read = Directory::read(&mut Reader::new(&bytes), orders.len() * 10).unwrap();
            prop_assert_eq!(&read.signs, &directory.signs);
            for order in orders.iter().copied().chain([0, 7, u32::MAX]) {
                let first = orders.iter().position(|o| *o == order);
                let from = read.before(order);
                prop_assert!(first.is_none_or(|first| from.is_some_and(|from| from <= first * 10)));
                if let (Some(first), Some(from)) = (first, from) {
                    prop_assert!(first * 10 - from <= sign_bytes + 10 || orders[from / 10..first].iter().all(|o| *o == orders[from / 10]));
                }
            }
        }
    }
}
