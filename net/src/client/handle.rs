//! Asking: one method for each request.

use std::sync::Arc;
use std::time::Duration;

use lobbyd_core::data::RawBytes;
use lobbyd_core::id::{RequestId, RoomNumber, UserId};
use lobbyd_core::packet::{ClientPacket, CommandReply, RoomChange, RoomPage, RoomSummary, Secret, User};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::shared::{Reply, Shared, Waiting};
use super::{ClientError, Entered, Welcome};

/// Asks the server. Cheap to clone; when the last clone is dropped, the connection sends what was asked and closes.
///
/// Every method waits for its response, and many may wait at once: requests go out in the order in which their futures
/// are first polled. All fail with [`ClientError::Refused`] when the server refuses, and with what ended the connection
/// when it ends before the response comes. They can be given up at any moment, which takes nothing back.
#[derive(Clone, Debug)]
pub struct Handle {
    asker: Arc<Asker>,
}

impl Handle {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { asker: Arc::new(Asker(shared)) }
    }

    /// What the server has said about itself.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.shared().welcome
    }

    /// Logs in with the password, or the token that a trusted service issued, and says who one is now.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn login(&self, user: &str, secret: &[u8]) -> Result<User, ClientError> {
        let (name, secret) = (user.into(), Secret(secret));
        self.ask(user.len() + secret.0.len(), Waiting::Login, |request| ClientPacket::LoginRequest {
            request,
            user: name,
            secret,
        })
        .await
    }

    /// Logs out, or cancels a login that is pending. The connection stays.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn logout(&self) -> Result<(), ClientError> {
        self.ask(0, Waiting::Logout, |request| ClientPacket::LogoutRequest { request }).await
    }

    /// A page of the room directory: at most `limit` rooms, from number `from` on.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn rooms(&self, from: RoomNumber, limit: u32) -> Result<RoomPage, ClientError> {
        self.ask(0, Waiting::RoomList, |request| ClientPacket::RoomListRequest { request, from, limit }).await
    }

    /// The whole room directory, page by page: rooms that come or go meanwhile may or may not be in it.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn all_rooms(&self) -> Result<Vec<RoomSummary>, ClientError> {
        let mut rooms = Vec::new();
        let mut from = RoomNumber(0);
        loop {
            let page = self.rooms(from, u32::MAX).await?;
            rooms.extend(page.rooms.0);
            match page.next {
                Some(next) if next > from => from = next,
                Some(_) => return Err(ClientError::Unexpected("a page of the room list does not lead on")),
                None => return Ok(rooms),
            }
        }
    }

    /// Creates a room and enters it.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn create_room(
        &self,
        title: &str,
        capacity: u32,
        password: Option<&[u8]>,
    ) -> Result<Entered, ClientError> {
        let bytes = title.len() + password.map_or(0, <[u8]>::len);
        self.ask(bytes, Waiting::RoomCreate, |request| ClientPacket::RoomCreateRequest {
            request,
            title: title.into(),
            capacity,
            password: password.map(Secret),
        })
        .await
    }

    /// Enters a room. The first event of the room that comes later has the number behind that of the entering.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn enter(&self, room: RoomNumber, password: Option<&[u8]>) -> Result<Entered, ClientError> {
        let bytes = password.map_or(0, <[u8]>::len);
        self.ask(bytes, Waiting::RoomEnter, |request| ClientPacket::RoomEnterRequest {
            request,
            room,
            password: password.map(Secret),
        })
        .await
    }

    /// Leaves a room for the lobby.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn leave(&self, room: RoomNumber) -> Result<RoomChange, ClientError> {
        self.ask(0, Waiting::RoomLeave, |request| ClientPacket::RoomLeaveRequest { request, room }).await
    }

    /// Says something in a room. When this returns, it has gone to the other members.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn chat(&self, room: RoomNumber, text: &str) -> Result<RoomChange, ClientError> {
        self.ask(text.len(), Waiting::RoomChat, |request| ClientPacket::RoomChatRequest {
            request,
            room,
            text: text.into(),
        })
        .await
    }

    /// Says something to one user, wherever that user is.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn direct_message(&self, user: &str, text: &str) -> Result<(), ClientError> {
        self.ask(user.len() + text.len(), Waiting::DirectMessage, |request| ClientPacket::DirectMessageRequest {
            request,
            user: user.into(),
            text: text.into(),
        })
        .await
    }

    /// Sends a member back to the lobby; with `ban` for as long as the room exists.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn kick(&self, room: RoomNumber, user: UserId, ban: bool) -> Result<RoomChange, ClientError> {
        self.ask(0, Waiting::Kick, |request| ClientPacket::KickRequest { request, room, user, ban }).await
    }

    /// Asks an extension of the server for something. An extension that says no does so in the reply; only what the
    /// server itself refuses is an error. `timestamp` is the caller's clock in milliseconds since 1970; 0 without one.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn command(&self, name: &str, parameters: &[u8], timestamp: u64) -> Result<CommandReply, ClientError> {
        self.ask(name.len() + parameters.len(), Waiting::Command, |request| ClientPacket::CustomCommand {
            request,
            command_type: name.into(),
            parameters: RawBytes(parameters),
            timestamp,
        })
        .await
    }

    /// Asks for a sign of life, and says how long it took to come.
    ///
    /// # Errors
    /// As every method of [`Handle`].
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        let permit = self.shared().permit().await?;
        let asked = Instant::now();
        let (reply, pong) = oneshot::channel();
        self.shared().ping(reply, permit)?;
        pong.await.map_err(|_| self.shared().end())?;
        Ok(asked.elapsed())
    }

    /// Closes the connection: what was asked is still sent, whoever still waits gets `Closed(Disconnected)`.
    pub fn close(&self) {
        self.shared().close();
    }

    fn shared(&self) -> &Shared {
        &self.asker.0
    }

    /// Sends a request that has `bytes` bytes of text and secrets, and waits for its response.
    async fn ask<'a, T>(
        &self,
        bytes: usize,
        waiting: fn(Reply<T>) -> Waiting,
        packet: impl FnOnce(RequestId) -> ClientPacket<'a>,
    ) -> Result<T, ClientError> {
        let permit = self.shared().permit().await?;
        let (reply, response) = oneshot::channel();
        self.shared().ask(bytes, packet, waiting(reply), permit)?;
        match response.await {
            Ok(result) => result.map_err(ClientError::Refused),
            Err(_) => Err(self.shared().end()),
        }
    }
}

/// Closes the connection when the last handle is gone.
#[derive(Debug)]
struct Asker(Arc<Shared>);

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.close();
    }
}
