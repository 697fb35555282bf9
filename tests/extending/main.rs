//! The examples of `server/examples` and the guide of `server/EXTENDING.md`: clients play against each as a program of its
//! own, the simulator runs what they extend the server by, and what the guide shows is what the examples hold.

mod guide;
mod player;
mod programs;
mod simulation;
mod snapshots;
mod stand_in;

// What extends each server, as the simulator and the engine take it.
#[path = "../../server/examples/custom_command/dice.rs"]
mod dice;
#[path = "../../server/examples/inventory_service/inventory.rs"]
mod inventory;
#[path = "../../server/examples/moderation/links.rs"]
mod links;
#[path = "../../server/examples/game_lobby/ready_check.rs"]
mod ready_check;
