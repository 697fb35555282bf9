//! Messages: to a room, to one user, from the operator to everybody.

use crate::action::Actions;
use crate::engine::Engine;
use crate::id::{RequestId, RoomNumber, SessionId};
use crate::name::UserName;
use crate::packet::{Code, RoomChange, ServerPacket};
use crate::room::RoomEvent;
use crate::text::{RawText, TextError, check_message_bytes};

impl Engine {
    pub(crate) fn room_chat(
        &mut self,
        id: SessionId,
        request: RequestId,
        number: RoomNumber,
        text: RawText<'_>,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        if self.sessions.online(id)?.room != Some(number) {
            return Err(Code::NotInRoom);
        }
        let text = self.message(text)?;
        let text = actions.text(text);
        let event = RoomEvent::Chatted { session: id, text };
        let sequence = self.lobby.apply(number, event, self.config.frame_bytes_max, actions);
        let change = RoomChange { room: number, sequence };
        actions.send(id, ServerPacket::RoomChatResponse { request, result: Ok(change) });
        Ok(())
    }

    pub(crate) fn direct_message(
        &mut self,
        id: SessionId,
        request: RequestId,
        to: RawText<'_>,
        text: RawText<'_>,
        actions: &mut Actions,
    ) -> Result<(), Code> {
        let sender = self.sessions.online(id)?;
        let to = UserName::parse(to).map_err(|_| Code::NameInvalid)?;
        let text = self.message(text)?;
        if !self.users.is_online(to) {
            return Err(Code::UserUnknown);
        }
        let text = actions.text(text);
        actions.broadcast(self.users.sessions(to), || ServerPacket::DirectMessageNotify {
            user: sender.user.id,
            name: sender.user.name,
            text,
        });
        actions.send(id, ServerPacket::DirectMessageResponse { request, result: Ok(()) });
        Ok(())
    }

    pub(crate) fn announce(&mut self, text: RawText<'_>, actions: &mut Actions) {
        if let Ok(text) = self.message(text) {
            let text = actions.text(text);
            actions.broadcast(self.users.all(), || ServerPacket::AnnounceNotify { text });
        }
    }

    /// The bytes of a message, which are UTF-8.
    pub(crate) fn message<'a>(&self, text: RawText<'a>) -> Result<&'a [u8], Code> {
        check_message_bytes(text, self.config.text_bytes_max).map_err(|error| match error {
            TextError::Empty => Code::TextEmpty,
            TextError::TooLong => Code::TextTooLong,
            TextError::NotUtf8 | TextError::Forbidden | TextError::NotNormalized => Code::TextInvalid,
        })
    }
}
