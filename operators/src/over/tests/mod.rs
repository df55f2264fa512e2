//! The three proofs: scripts whose names state the rules; a naive oracle on random input; restored state at every step.
//! And that state is bounded.

mod bounded;
mod chains;
mod oracle;
mod periods;
mod places;
mod random;
mod scripts;
