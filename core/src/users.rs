//! Who is online: the directory of logged-in users.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::borrow::Borrow;
use core::cmp::Ordering;
use core::ops::Bound;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::id::{SessionId, UserId};
use crate::name::UserName;
use crate::packet::User;

/// Who is online, by name. Where duplicate logins are allowed, one name may be online many times.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Users {
    #[serde(with = "crate::pairs")]
    online: BTreeMap<OnlineUser, SessionId>,
}

impl Users {
    pub(crate) fn insert(&mut self, user: Arc<User>, session: SessionId) {
        let before = self.online.insert(OnlineUser(user), session);
        assert!(before.is_none(), "the number of a login is used once");
    }

    pub(crate) fn remove(&mut self, name: UserName, id: UserId) {
        let before = self.online.remove(&(name, id) as &dyn Login);
        assert!(before.is_some(), "a user who goes offline was online");
    }

    /// The sessions of that user, the longest-standing first.
    pub(crate) fn sessions(&self, name: UserName) -> impl Iterator<Item = SessionId> {
        let (first, last) = ((name, UserId(0)), (name, UserId(u64::MAX)));
        let range: (Bound<&dyn Login>, Bound<&dyn Login>) = (Bound::Included(&first), Bound::Included(&last));
        self.online.range::<dyn Login, _>(range).map(|(_, session)| *session)
    }

    /// Whether that login of that user is this session's.
    pub(crate) fn holds(&self, name: UserName, id: UserId, session: SessionId) -> bool {
        self.online.get(&(name, id) as &dyn Login) == Some(&session)
    }

    pub(crate) fn is_online(&self, name: UserName) -> bool {
        self.sessions(name).next().is_some()
    }

    pub(crate) fn count(&self) -> u32 {
        // Not more than there are sessions, which are counted by a `u32`.
        self.online.len() as u32
    }

    /// Every online session, by name.
    pub(crate) fn all(&self) -> impl Iterator<Item = SessionId> {
        self.online.values().copied()
    }
}

/// The key of somebody who is online. It shares the user, so that names are not stored once more.
#[derive(Clone, Debug)]
struct OnlineUser(Arc<User>);

/// What users who are online are ordered by: the name, and then the number of the login.
trait Login {
    fn name(&self) -> &UserName;
    fn id(&self) -> UserId;
}

impl Login for OnlineUser {
    fn name(&self) -> &UserName {
        &self.0.name
    }

    fn id(&self) -> UserId {
        self.0.id
    }
}

impl Login for (UserName, UserId) {
    fn name(&self) -> &UserName {
        &self.0
    }

    fn id(&self) -> UserId {
        self.1
    }
}

impl<'a> Borrow<dyn Login + 'a> for OnlineUser {
    fn borrow(&self) -> &(dyn Login + 'a) {
        self
    }
}

impl Ord for dyn Login + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.name().cmp(other.name()).then(self.id().cmp(&other.id()))
    }
}

impl PartialOrd for dyn Login + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Login + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for dyn Login + '_ {}

impl Ord for OnlineUser {
    fn cmp(&self, other: &Self) -> Ordering {
        (self as &dyn Login).cmp(other)
    }
}

impl PartialOrd for OnlineUser {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for OnlineUser {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for OnlineUser {}

/// Stored as the name and the number: the rest is in the session.
impl Serialize for OnlineUser {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.0.name, self.0.id).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OnlineUser {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (name, id) = Deserialize::deserialize(deserializer)?;
        Ok(Self(Arc::new(User { id, name, nickname: None })))
    }
}
