//! More of everything than anybody needs.
