//! The TCP listeners.

use std::io;
use std::net::SocketAddr;

use anyhow::Context;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. The system may allow fewer.
const BACKLOG: u32 = 4096;

/// Listens on every address.
///
/// # Errors
/// Names the first address that cannot be listened on, why, and what to do.
pub(crate) fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    addresses.iter().map(|address| bind_one(*address).with_context(|| hint(*address))).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Else a restart would have to wait until the connections of the last run are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn hint(address: SocketAddr) -> String {
    format!(
        "cannot listen on {address}: is another program, or another lobbyd, listening there? \
         Choose another address with --listen ADDRESS:PORT, or port 0 for any free one"
    )
}
