//! Exact values shared by windows and frames.
