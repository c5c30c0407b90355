//! Folding updates gives what a query gives, whatever happens between two of them.

use super::*;
