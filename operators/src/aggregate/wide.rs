//! Integers that widen instead of wrapping: `i64` → `i128` → `i256`.

use arrow::datatypes::i256;

/// An integer with checked arithmetic and, but for the widest, a wider one.
pub trait Exact: Copy + Default + PartialEq + Send {
    /// The next wider integer.
    type Wider: Exact;
    /// `self + other`, or `None` if it does not fit.
    fn plus(self, other: Self) -> Option<Self>;
    /// `self − other`, or `None` if it does not fit.
    fn minus(self, other: Self) -> Option<Self>;
    /// The same value, wider.
    fn widen(self) -> Self::Wider;
    /// The same value from the wider type, if it fits.
    fn narrow(wide: Self::Wider) -> Option<Self>;
}

macro_rules! exact {
    ($t:ty, $wider:ty, $widen:expr, $narrow:expr) => {
        impl Exact for $t {
            type Wider = $wider;
            #[inline(always)]
            fn plus(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
            #[inline(always)]
            fn minus(self, other: Self) -> Option<Self> {
                self.checked_sub(other)
            }
            #[inline(always)]
            fn widen(self) -> $wider {
                let f: fn($t) -> $wider = $widen;
                f(self)
            }
            #[inline(always)]
            fn narrow(wide: $wider) -> Option<Self> {
                let f: fn($wider) -> Option<$t> = $narrow;
                f(wide)
            }
        }
    };
}
exact!(i64, i128, i128::from, |w| i64::try_from(w).ok());
exact!(i128, i256, i256::from_i128, i256::to_i128);
exact!(i256, i256, |v| v, Some);
