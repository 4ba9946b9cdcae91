//! The service as clients meet it: signed requests through the wire layer, with a runner and an unpacker that
//! stand in for the floors below.

mod calls;
mod changes;
mod configuration;
mod packages;
mod permissions;
mod stage;
mod stand_ins;
mod urls;
mod versions;
