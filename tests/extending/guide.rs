//! The guide shows what the examples hold.
