//! A client of the `custom_command` example: throws dice in a room.
//!
//! `cargo run -p lobbyd --example dice_client [ADDRESS:PORT [DICE]]`

use std::env;
use std::error::Error;

use lobbyd_core::id::RoomNumber;
use lobbyd_net::client::connect;
use tokio::net::TcpStream;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| String::from("127.0.0.1:7400"));
    let dice = arguments.next().unwrap_or_else(|| String::from("2d6"));

    let stream = TcpStream::connect(address).await?;
    let (handle, mut events, connection) = connect(stream, "dice client 1.0").await?;
    tokio::spawn(connection.run());
    handle.login("bob", b"builder").await?;
    handle.enter(RoomNumber(1), None).await?;
    let reply = handle.command("dice", dice.as_bytes(), 0).await?;
    match reply.error_message {
        // Texts of strangers are escaped before a terminal sees them.
        Some(why) => println!("refused: {:?}", why.as_str()),
        None => println!("{:?}: {:?}", reply.data, events.next().await?),
    }
    Ok(())
}
