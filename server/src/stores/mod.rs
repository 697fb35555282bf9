//! Where accounts live: a database of this process ([`embedded`]) or Redis ([`redis_users`]), behind one way to
//! administer them ([`directory`]); the hashing of secrets ([`hashing`]), which both share; and accounts that a program
//! lists itself ([`listed`]).
//!
//! Architecture invariant: a secret is compared and hashed on the threads of a [`hashing::HashPool`] only, and what
//! reads or writes the disk for a login runs there too. So no login, and no number of them, holds up the I/O thread.

mod account_file;
pub mod directory;
pub mod embedded;
pub mod hasher;
pub mod hashing;
pub mod listed;
pub(crate) mod open;
pub mod redis_users;

pub(crate) use open::Stores;
