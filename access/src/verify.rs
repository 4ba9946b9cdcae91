//! Signature Version 4, the server's side.
