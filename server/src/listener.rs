//! The TCP listeners.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. The system may allow fewer.
const BACKLOG: u32 = 4096;

/// An address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {}", hint(*address, source.kind()))]
#[non_exhaustive]
pub struct BindError {
    /// Which.
    pub address: SocketAddr,
    /// What the system says; of kind `AddrInUse` when the address is taken.
    pub source: io::Error,
}

/// Listens on every address.
///
/// # Errors
/// Names the first address that cannot be listened on, why, and what to do.
pub(crate) fn bind(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, BindError> {
    addresses.iter().map(|&address| bind_one(address).map_err(|source| BindError { address, source })).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Else a restart would have to wait until the connections of the last run are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn hint(address: SocketAddr, kind: ErrorKind) -> String {
    let port = address.port();
    // As a flag of the daemon and as a setting.
    let place = "--listen ADDRESS:PORT or server.listen";
    if kind == ErrorKind::AddrInUse {
        format!(
            "another program, or another lobbyd, listens there; choose another address with {place}, or port 0 for any \
             free one"
        )
    } else if kind == ErrorKind::AddrNotAvailable {
        format!("this machine has no such address; 0.0.0.0:{port} listens on all that it has ({place})")
    } else if kind == ErrorKind::PermissionDenied {
        format!("port {port} is for privileged programs; choose one above 1023 with {place}")
    } else {
        format!("choose another address with {place}")
    }
}
