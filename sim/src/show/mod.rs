//! Pictures of runs: sequence diagrams as mermaid text, and as a page for a browser.
//!
//! ```text
//! scenario + outcome ── chart (lanes, rows, bands) ──┬── mermaid (text)
//!                                                    └── page (HTML, with its styles and script inside)
//! ```
//!
//! The chart is the run, put in order for people; it knows nothing of how it will look. Where the layer was asked to
//! [watch](crate::layers::World::watch), arrows go from where something left to where it arrived; where it was not, or
//! sees nothing, they stand where the client began and where the packet arrived.
//!
//! Texts in a run are hostile: [`escape`] is what stands between them and a browser.

pub mod chart;
pub mod escape;
pub mod mermaid;
pub mod page;

mod band;
mod build;
mod lanes;
mod message;

pub use self::chart::Chart;
pub use self::mermaid::mermaid;
pub use self::page::page;
