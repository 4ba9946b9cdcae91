//! The canonical form of a request, which both sides of a signature compute.
