//! The servers of others, from `PATH`, each with the configuration that lets it be as fast as it can: nothing is stored,
//! nothing throttled, no names looked up.

use std::ffi::OsStr;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, anyhow};

use super::child::Child;
use crate::bench::target::Target;

/// The file with the message of the day, which InspIRCd does not start without.
const MOTD: &str = "motd";

/// Starts it in `folder`, and waits until it listens.
pub(super) fn start(target: &Target, folder: &Path) -> anyhow::Result<(Child, SocketAddr)> {
    let name = target.foreign_program().context("it is no server of others")?;
    let program = find(name)?;
    let address = free_address()?;
    let port = address.port();
    let mut command = Command::new(program);
    let file = folder.join("configuration");
    let write = |text: String| fs::write(&file, text).context("the temporary folder cannot be written");
    match target {
        Target::Redis => {
            command.args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--appendonly", "no"]);
            command.args(["--maxclients", "19000"]).arg("--dir").arg(folder);
        }
        Target::Nats => {
            command.args(["--addr", "127.0.0.1", "--port", &port.to_string()]);
        }
        Target::Mosquitto => {
            write(format!(
                "listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nset_tcp_nodelay true\n\
                 max_queued_messages 0\nlog_type error\nuser root\n"
            ))?;
            command.arg("-c").arg(&file);
        }
        Target::Ngircd => {
            write(format!(
                "[Global]\nName = irc.bench.local\nInfo = bench\nListen = 127.0.0.1\nPorts = {port}\n\
                 MotdPhrase = hello\n\
                 [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\n\
                 MaxNickLength = 30\nPingTimeout = 600\n\
                 [Options]\nDNS = no\nIdent = no\nPAM = no\nCloakUserToNick = no\n"
            ))?;
            command.arg("-n").arg("-f").arg(&file);
        }
        Target::Inspircd => {
            fs::write(folder.join(MOTD), "hello\n").context("the temporary folder cannot be written")?;
            write(inspircd_configuration(port, folder))?;
            command.args(["--nofork", "--nopid", "--runasroot", "--config"]).arg(&file);
        }
        Target::Lobbyd { .. } | Target::Address(_) | Target::Floor { .. } => {
            return Err(anyhow!("{target} is no server of others"));
        }
    }
    let mut child = Child::start(command)?;
    child.wait_for_port(address)?;
    Ok((child, address))
}

/// A Redis that keeps tokens.
pub(super) fn start_redis(folder: &Path) -> anyhow::Result<(Child, SocketAddr)> {
    start(&Target::Redis, folder)
}

/// What the program says of its version, in one line.
pub(crate) fn version(target: &Target) -> Option<String> {
    let program = find(target.foreign_program()?).ok()?;
    let flag = match target {
        Target::Mosquitto => "-h",
        Target::Redis
        | Target::Nats
        | Target::Ngircd
        | Target::Inspircd
        | Target::Lobbyd { .. }
        | Target::Address(_)
        | Target::Floor { .. } => "--version",
    };
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    text.lines().map(str::trim).find(|line| line.chars().any(|letter| letter.is_ascii_digit())).map(str::to_owned)
}

/// The program in `PATH`, or where systems keep what only their administrators run.
fn find(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(["/usr/local/sbin", "/usr/sbin"].map(PathBuf::from));
    folders.map(|folder| folder.join(OsStr::new(name))).find(|program| program.is_file()).ok_or_else(|| {
        anyhow!("{name} is not in PATH: install it (Debian's package has the same name: apt install {name})")
    })
}

/// A port that was free a moment ago: these servers do not tell which they were given.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).context("no port is free")?;
    listener.local_addr().context("a socket does not say its address")
}

fn inspircd_configuration(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "<server name=\"irc.bench.local\" description=\"bench\" network=\"bench\" id=\"001\">\n\
         <admin name=\"bench\" nick=\"bench\" email=\"bench@bench.local\">\n\
         <bind address=\"127.0.0.1\" port=\"{port}\" type=\"clients\">\n\
         <connect name=\"main\" allow=\"*\" timeout=\"60\" pingfreq=\"600\" localmax=\"20000\" globalmax=\"20000\" \
         maxchans=\"20\" threshold=\"1000000000\" commandrate=\"1000000000\" fakelag=\"off\" recvq=\"1048576\" \
         softsendq=\"67108864\" hardsendq=\"67108864\" useident=\"no\" resolvehostnames=\"no\" \
         maxconnwarn=\"off\">\n\
         <class name=\"x\" commands=\"\">\n\
         <performance netbuffersize=\"65534\" somaxconn=\"4096\" softlimit=\"20000\" clonesonconnect=\"no\" \
         timeskipwarn=\"0s\">\n\
         <path configdir=\"{folder}\" datadir=\"{folder}\" logdir=\"{folder}\" runtimedir=\"{folder}\">\n\
         <files motd=\"{folder}/{MOTD}\">\n\
         <log method=\"stderr\" type=\"* -USERINPUT -USEROUTPUT\" level=\"error\" target=\"\">\n"
    )
}
