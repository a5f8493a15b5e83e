//! What the system suites share.
