//! Composite values: fields of packets that have fields of their own.

use alloc::vec::Vec;
use core::fmt;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::data::Data;
use crate::id::{RoomNumber, UserId};
use crate::name::UserName;
use crate::text::Text;

/// A logged-in user as others see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The number of this login.
    pub id: UserId,
    /// The identity.
    pub name: UserName,
    /// What to show instead of the name.
    pub nickname: Option<Text>,
}

/// A page of the room directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomPage {
    /// In the order of their numbers.
    pub rooms: List<RoomSummary>,
    /// Where the next page begins; absent on the last page.
    pub next: Option<RoomNumber>,
}

/// A room as the directory shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomSummary {
    /// Its number.
    pub room: RoomNumber,
    /// What it is called.
    pub title: Text,
    /// How many are in it.
    pub members: u32,
    /// How many may be in it.
    pub capacity: u32,
    /// Whether entering needs a password.
    pub protected: bool,
}

/// Where the answer to a create or enter request leaves one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomEntered {
    /// The room.
    pub room: RoomNumber,
    /// New each time the room is created anew.
    pub epoch: u64,
    /// The number of one's entering.
    pub sequence: u64,
}

/// A change in a room that one made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomChange {
    /// The room.
    pub room: RoomNumber,
    /// The number of the change, the same that the other members were told.
    pub sequence: u64,
}

/// What an extension answers to a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandReply {
    /// Whether the extension did what was asked.
    pub success: bool,
    /// Whatever it answers.
    pub data: Data,
    /// Why it did not, for people.
    pub error_message: Option<Text>,
}

/// A list that is decoded without trusting its announced length: it grows only as elements really arrive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct List<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor<T>(core::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ListVisitor<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<List<T>, A::Error> {
                const {
                    assert!(size_of::<T>() > 0, "an element of no size could be announced without end");
                }
                let mut list = Vec::new();
                while let Some(element) = elements.next_element()? {
                    list.push(element);
                }
                Ok(List(list))
            }
        }
        deserializer.deserialize_seq(ListVisitor(core::marker::PhantomData))
    }
}
