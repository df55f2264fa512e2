//! Counters and histograms, written by workers and read by anyone without stopping work.
