//! Two releases of one service side by side.
