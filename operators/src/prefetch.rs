//! A hint to the processor: one line of memory will be read soon.
//!
//! State of many keys does not fit any cache. Rows are looked up some rows ahead, so that their misses overlap.
#![allow(unsafe_code)] // the instruction takes a pointer, but reads nothing and cannot fail

/// Asks for the line of `values[i]`; `i` may lie outside.
#[inline(always)]
pub fn prefetch<T>(values: &[T], i: usize) {
    touch(values.as_ptr().wrapping_add(i));
}

#[inline(always)]
fn touch<T>(at: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch does not access memory; any address is allowed
        unsafe { _mm_prefetch::<_MM_HINT_T0>(at.cast()) }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = at;
}

/// Asks for all lines of a value.
#[inline(always)]
pub fn prefetch_all<T>(value: &T) {
    let lines = std::slice::from_ref(value).as_ptr().cast::<[u8; 64]>();
    for i in 0..size_of::<T>().div_ceil(64) {
        touch(lines.wrapping_add(i));
    }
}
