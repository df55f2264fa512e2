//! Every bad input is a clear error or a row of `t$errors`.
