//! The portable file, format 1: a gzip'd ustar with the manifest first.
//!
//! - [`manifest`]: what an archive declares about itself

pub mod manifest;
