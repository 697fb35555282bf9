//! The TCP listeners.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// Connections that may wait to be accepted. The system may allow fewer.
const BACKLOG: u32 = 4096;

/// Listens on every address.
///
/// # Errors
/// Names the first address that cannot be listened on, why, and what to do.
pub(crate) fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    addresses.iter().map(|address| bind_one(*address).map_err(|error| explain(*address, error))).collect()
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // Else a restart would have to wait until the connections of the last run are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn explain(address: SocketAddr, error: io::Error) -> anyhow::Error {
    let port = address.port();
    let kind = error.kind();
    let hint = if kind == ErrorKind::AddrInUse {
        "another program, or another lobbyd, listens there; choose another address with --listen ADDRESS:PORT, or port \
         0 for any free one"
            .to_owned()
    } else if kind == ErrorKind::AddrNotAvailable {
        format!("this machine has no such address; --listen 0.0.0.0:{port} listens on all that it has")
    } else if kind == ErrorKind::PermissionDenied {
        format!("port {port} is for privileged programs; choose one above 1023 with --listen ADDRESS:PORT")
    } else {
        "choose another address with --listen ADDRESS:PORT".to_owned()
    };
    anyhow::Error::new(error).context(format!("cannot listen on {address}: {hint}"))
}
