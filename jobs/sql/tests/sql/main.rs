//! Texts in, graphs or errors out.

mod jobs;
