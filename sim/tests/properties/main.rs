//! Properties of the engine: whatever happens to it, in whatever order, it does what the model says.

#![expect(clippy::unwrap_used, reason = "a test says by its panic what was not as it should be")]

mod cast;
mod engine;
mod extension;
mod lookout;
mod marks;
mod operation;
mod rules;
mod story;
mod trial;
