//! Sums per slot that widen as a whole column instead of wrapping.

use super::groups::Slots;
use crate::aggregate::wide::Exact;

/// A sum does not fit 256 bits.
#[derive(Clone, Copy, Debug)]
pub struct TooLarge;

/// One exact sum per slot: of `A` until one of them does not fit, then all of the wider type.
#[derive(Clone, Debug)]
pub enum Sums<A: Exact> {
    /// Every sum fits.
    Low(Vec<A>),
    /// Some sum did not.
    High(Vec<A::Wider>),
}

impl<A: Exact> Default for Sums<A> {
    fn default() -> Self {
        Self::Low(vec![])
    }
}

impl<A: Exact> Sums<A> {
    /// Makes room for `n` slots.
    pub fn grow(&mut self, n: usize) {
        match self {
            Self::Low(v) => v.resize(n, A::default()),
            Self::High(v) => v.resize(n, A::Wider::default()),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        match self {
            Self::Low(v) => v.clear(),
            Self::High(_) => *self = Self::default(),
        }
    }

    /// Adds values to slots; takes them away if `AWAY`.
    #[inline(always)]
    pub fn apply<const AWAY: bool>(&mut self, mut items: impl Iterator<Item = (usize, A)>) -> Result<(), TooLarge> {
        if let Self::Low(sums) = self {
            let stuck = loop {
                let Some((slot, v)) = items.next() else { return Ok(()) };
                let sum = &mut sums[slot];
                match if AWAY { sum.minus(v) } else { sum.plus(v) } {
                    Some(s) => *sum = s,
                    None => break (slot, v),
                }
            };
            self.widen();
            self.apply_wide::<AWAY>(std::iter::once((stuck.0, stuck.1.widen())))?;
        }
        self.apply_wide::<AWAY>(items.map(|(slot, v)| (slot, v.widen())))
    }

    /// [`Sums::apply`] of wider values.
    #[inline(always)]
    pub fn apply_wide<const AWAY: bool>(
        &mut self,
        mut items: impl Iterator<Item = (usize, A::Wider)>,
    ) -> Result<(), TooLarge> {
        let mut stuck = None;
        if let Self::Low(sums) = self {
            for (slot, v) in items.by_ref() {
                let sum = &mut sums[slot];
                match A::narrow(v).and_then(|v| if AWAY { sum.minus(v) } else { sum.plus(v) }) {
                    Some(s) => *sum = s,
                    None => {
                        stuck = Some((slot, v));
                        break;
                    }
                }
            }
            if stuck.is_none() {
                return Ok(());
            }
            self.widen();
        }
        let Self::High(sums) = self else { return Ok(()) };
        for (slot, v) in stuck.into_iter().chain(items) {
            let sum = if AWAY { sums[slot].minus(v) } else { sums[slot].plus(v) };
            sums[slot] = sum.ok_or(TooLarge)?;
        }
        Ok(())
    }

    fn widen(&mut self) {
        if let Self::Low(v) = self {
            *self = Self::High(v.iter().map(|v| v.widen()).collect());
        }
    }

    /// Adds the `i`-th sum of `from` to slot `slots[i]`; takes it away if `AWAY`.
    pub fn absorb<const AWAY: bool>(&mut self, slots: &[u32], from: &Self) -> Result<(), TooLarge> {
        let slots = slots.iter().map(|s| *s as usize);
        match from {
            Self::Low(v) => self.apply::<AWAY>(slots.zip(v.iter().copied())),
            Self::High(v) => self.apply_wide::<AWAY>(slots.zip(v.iter().copied())),
        }
    }

    /// The sums of these slots, wide.
    pub fn wide(&self, slots: Slots) -> Vec<A::Wider> {
        match self {
            Self::Low(v) => match slots {
                Slots::Run(from, until) => v[from..until].iter().map(|v| v.widen()).collect(),
                Slots::List(l) => l.iter().map(|s| v[*s as usize].widen()).collect(),
            },
            Self::High(v) => slots.of(v),
        }
    }

    /// Takes these sums of `from`, in this order, in place of its own; what is left of `from` means nothing.
    pub fn take(&mut self, from: &mut Self, slots: &[u32]) {
        match (&mut *self, &*from) {
            (Self::Low(mine), Self::Low(theirs)) => Slots::List(slots).of_into(theirs, mine),
            _ => {
                std::mem::swap(self, from);
                self.keep(slots);
            }
        }
    }

    /// Keeps these slots only, in this order.
    pub fn keep(&mut self, slots: &[u32]) {
        match self {
            Self::Low(v) => *v = Slots::List(slots).of(v),
            Self::High(v) => *v = Slots::List(slots).of(v),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Low(v) => v.capacity() * size_of::<A>(),
            Self::High(v) => v.capacity() * size_of::<A::Wider>(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::i256;

    #[test]
    fn a_sum_that_leaves_its_type_widens_and_comes_back() {
        let mut s = Sums::<i64>::default();
        s.grow(2);
        s.apply::<false>([(0, i64::MAX), (1, 5), (0, i64::MAX), (0, 1)].into_iter()).unwrap();
        assert_eq!(s.wide(Slots::Run(0, 2)), [2 * i128::from(i64::MAX) + 1, 5]);
        s.apply::<true>([(0, i64::MAX), (0, i64::MAX)].into_iter()).unwrap();
        assert_eq!(s.wide(Slots::List(&[1, 0])), [5, 1]);
        let mut w = Sums::<i128>::default();
        w.grow(1);
        w.apply::<false>([(0, i128::MAX), (0, i128::MAX), (0, -i128::MAX)].into_iter()).unwrap();
        assert_eq!(w.wide(Slots::Run(0, 1)), [i256::from_i128(i128::MAX)]);
    }

    #[test]
    fn what_does_not_fit_256_bits_is_an_error() {
        let mut s = Sums::<i256>::default();
        s.grow(1);
        assert!(s.apply::<false>([(0, i256::MAX), (0, i256::ONE)].into_iter()).is_err());
    }
}
