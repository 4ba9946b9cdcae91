//! The service over a real `observe`.
