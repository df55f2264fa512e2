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
    /// The same value in 256 bits.
    fn to_i256(self) -> i256;
    /// The same value in 128 bits, if it fits.
    fn to_i128(self) -> Option<i128>;
}

macro_rules! exact {
    ($t:ty, $wider:ty, $widen:expr) => {
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
            fn to_i256(self) -> i256 {
                i256::from(self)
            }
            #[inline(always)]
            fn to_i128(self) -> Option<i128> {
                i256::from(self).to_i128()
            }
        }
    };
}
exact!(i64, i128, i128::from);
exact!(i128, i256, i256::from_i128);
exact!(i256, i256, |v| v);
