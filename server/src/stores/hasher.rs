//! What a secret's hash is: argon2id (RFC 9106) as a PHC string. Computes for tens of milliseconds on the calling
//! thread, so that only [`super::hashing`] calls it.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{ARGON2ID_IDENT, Algorithm, Argon2, Params, PasswordHasher, Version};
use lobbyd_net::stores::Unavailable;
use subtle::ConstantTimeEq;

/// The most memory that one computation may take: 1 GiB.
pub const MEMORY_KIB_MAX: u32 = 1024 * 1024;
/// The most passes over the memory.
pub const PASSES_MAX: u32 = 64;
/// The most lanes.
pub const LANES_MAX: u32 = 64;
/// The most memory times passes: 4 GiB, a few seconds of one processor.
pub const WORK_KIB_MAX: u32 = 4 * 1024 * 1024;

/// How much one hash costs. The default is the least that OWASP recommends: 19 MiB, 2 passes, 1 lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashParameters {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// Why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidHashParameters {
    /// The memory is out of bounds.
    #[error("the memory of a hash is {} KiB for each lane to {} KiB, not {}", Params::MIN_M_COST, MEMORY_KIB_MAX, .0)]
    Memory(u32),
    /// The number of passes is out of bounds.
    #[error("a hash takes 1 to {} passes, not {}", PASSES_MAX, .0)]
    Passes(u32),
    /// The number of lanes is out of bounds.
    #[error("a hash takes 1 to {} lanes, not {}", LANES_MAX, .0)]
    Lanes(u32),
    /// Each is within bounds, but memory times passes is not.
    #[error("a hash takes at most {} KiB of memory times passes, not {}", WORK_KIB_MAX, .0)]
    Work(u64),
}

impl HashParameters {
    /// Parameters of `memory_kib` (8 for each lane, to [`MEMORY_KIB_MAX`]), `passes` (1 to [`PASSES_MAX`]) and `lanes`
    /// (1 to [`LANES_MAX`]).
    ///
    /// # Errors
    /// When one is out of its bounds, or memory times passes is over [`WORK_KIB_MAX`].
    pub fn new(memory_kib: u32, passes: u32, lanes: u32) -> Result<Self, InvalidHashParameters> {
        if !(1..=LANES_MAX).contains(&lanes) {
            return Err(InvalidHashParameters::Lanes(lanes));
        }
        if !(Params::MIN_M_COST * lanes..=MEMORY_KIB_MAX).contains(&memory_kib) {
            return Err(InvalidHashParameters::Memory(memory_kib));
        }
        if !(1..=PASSES_MAX).contains(&passes) {
            return Err(InvalidHashParameters::Passes(passes));
        }
        let work = u64::from(memory_kib) * u64::from(passes);
        if work > u64::from(WORK_KIB_MAX) {
            return Err(InvalidHashParameters::Work(work));
        }
        Ok(Self { memory_kib, passes, lanes })
    }
}

impl Default for HashParameters {
    fn default() -> Self {
        Self { memory_kib: 19 * 1024, passes: 2, lanes: 1 }
    }
}

/// Makes hashes, and compares secrets with hashes.
#[derive(Debug)]
pub struct Hasher {
    parameters: Params,
    /// Stands in for the hash of a user who does not exist. Random, and of no secret that anybody knows.
    absent: Stored,
}

impl Hasher {
    /// A hasher whose new hashes have these parameters.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn new(parameters: HashParameters) -> Result<Self, Unavailable> {
        let HashParameters { memory_kib, passes, lanes } = parameters;
        let parameters = Params::new(memory_kib, passes, lanes, Some(Params::DEFAULT_OUTPUT_LEN))
            .expect("the bounds of `HashParameters` are within those of argon2");
        let salt: [u8; Salt::RECOMMENDED_LENGTH] = random()?;
        let output: [u8; Params::DEFAULT_OUTPUT_LEN] = random()?;
        let absent = Stored {
            version: Version::V0x13,
            salt: Salt::new(&salt).expect("the recommended length is allowed"),
            parameters: parameters.clone(),
            output: Output::new(&output).expect("the default length is allowed"),
        };
        Ok(Self { parameters, absent })
    }

    /// The hash of `secret`, as a PHC string, with a new salt.
    ///
    /// # Errors
    /// When there is no memory or no randomness for it.
    pub fn hash(&self, secret: &[u8]) -> Result<String, Unavailable> {
        let salt: [u8; Salt::RECOMMENDED_LENGTH] = random()?;
        Argon2::new(Algorithm::Argon2id, Version::V0x13, self.parameters.clone())
            .hash_password_with_salt(secret, &salt)
            .map(|hash| hash.to_string())
            .map_err(|error| Unavailable(format!("a password cannot be hashed: {error}")))
    }

    /// Whether `secret` is the one that `hash` was made of. With no hash it computes as long as for a hash of its own
    /// parameters and says no; so after a change of parameters, users whose hashes are older can be told from unknown
    /// ones by time until their passwords are set anew. An empty secret is wrong at once, whoever the user is.
    ///
    /// # Errors
    /// When the hash is no argon2id hash, or one that costs more than [`HashParameters`] may say, or there is no memory
    /// for it. The text does not show the hash.
    pub fn verify(&self, hash: Option<&str>, secret: &[u8]) -> Result<bool, Unavailable> {
        if secret.is_empty() {
            return Ok(false);
        }
        match hash {
            Some(hash) => Stored::parse(hash)
                .map_err(|fault| {
                    Unavailable(format!(
                        "its stored password hash {fault}; set its password again (`lobbyd user passwd`)"
                    ))
                })?
                .matches(secret),
            None => self.absent.matches(secret).map(|_| false),
        }
    }
}

/// What a PHC string says, checked.
#[derive(Debug)]
struct Stored {
    version: Version,
    parameters: Params,
    salt: Salt,
    output: Output,
}

/// What is wrong with a PHC string; the text goes after "the hash".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Fault {
    #[error("is not a PHC string")]
    NotPhc,
    #[error("is not of argon2id")]
    Algorithm,
    #[error("has a version that argon2 does not have")]
    Version,
    #[error("has other parameters than m, t and p, or not each of them once")]
    Parameters,
    #[error("is out of bounds: {0}")]
    OutOfBounds(#[from] InvalidHashParameters),
    #[error("lacks its salt or its output")]
    Incomplete,
}

impl Stored {
    fn parse(phc: &str) -> Result<Self, Fault> {
        let PasswordHash { algorithm, version, params, salt, hash } =
            PasswordHash::new(phc).map_err(|_| Fault::NotPhc)?;
        if algorithm != ARGON2ID_IDENT {
            return Err(Fault::Algorithm);
        }
        // The reference implementation of argon2 reads a string without a version as one of before 1.3.
        let version = match version {
            Some(version) => Version::try_from(version).map_err(|_| Fault::Version)?,
            None => Version::V0x10,
        };
        let (Some(salt), Some(output)) = (salt, hash) else { return Err(Fault::Incomplete) };
        let parameters = parse_parameters(&params)?;
        let HashParameters { memory_kib, passes, lanes } = parameters;
        let parameters = Params::new(memory_kib, passes, lanes, Some(output.len())).map_err(|_| Fault::Parameters)?;
        Ok(Self { version, parameters, salt, output })
    }

    fn matches(&self, secret: &[u8]) -> Result<bool, Unavailable> {
        let mut computed = [0; Output::MAX_LENGTH];
        let computed = &mut computed[..self.output.len()];
        Argon2::new(Algorithm::Argon2id, self.version, self.parameters.clone())
            .hash_password_into(secret, &self.salt, computed)
            .map_err(|error| Unavailable(format!("a password cannot be compared with its hash: {error}")))?;
        Ok(self.output.as_bytes().ct_eq(computed).into())
    }
}

fn parse_parameters(params: &ParamsString) -> Result<HashParameters, Fault> {
    let (mut memory_kib, mut passes, mut lanes) = (None, None, None);
    for (name, value) in params.iter() {
        let place = match name.as_str() {
            "m" => &mut memory_kib,
            "t" => &mut passes,
            "p" => &mut lanes,
            _ => return Err(Fault::Parameters),
        };
        if place.replace(value.decimal().map_err(|_| Fault::Parameters)?).is_some() {
            return Err(Fault::Parameters);
        }
    }
    let (Some(memory_kib), Some(passes), Some(lanes)) = (memory_kib, passes, lanes) else {
        return Err(Fault::Parameters);
    };
    Ok(HashParameters::new(memory_kib, passes, lanes)?)
}

fn random<const LENGTH: usize>() -> Result<[u8; LENGTH], Unavailable> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)
        .map_err(|error| Unavailable(format!("the system gives no randomness for a password hash: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cheap() -> Hasher {
        Hasher::new(HashParameters::new(8, 1, 1).unwrap()).unwrap()
    }

    fn with_parameters(parameters: &str) -> String {
        format!("$argon2id$v=19${parameters}$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
    }

    #[test]
    fn reference_vector_of_argon2id_matches() {
        // From the test program of the reference implementation (test.c, version 0x13, argon2id).
        let hash = with_parameters("m=256,t=2,p=1");
        assert_eq!(cheap().verify(Some(&hash), b"password"), Ok(true));
        assert_eq!(cheap().verify(Some(&hash), b"passwore"), Ok(false));
    }

    #[test]
    fn only_the_secret_that_was_hashed_matches() {
        let hasher = cheap();
        let hash = hasher.hash(b"right\0\xff").unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=8,t=1,p=1$"), "{hash}");
        assert_eq!(hasher.verify(Some(&hash), b"right\0\xff"), Ok(true));
        for wrong in [&b"right\0"[..], b"right\0\xfe", b"right\0\xff ", b"Right\0\xff", b""] {
            assert_eq!(hasher.verify(Some(&hash), wrong), Ok(false), "{wrong:?}");
        }
    }

    #[test]
    fn one_secret_hashes_differently_each_time() {
        let hasher = cheap();
        assert_ne!(hasher.hash(b"secret").unwrap(), hasher.hash(b"secret").unwrap());
    }

    #[test]
    fn hash_of_other_parameters_is_verified_with_its_own() {
        let other = Hasher::new(HashParameters::new(64, 3, 2).unwrap()).unwrap();
        let hash = other.hash(b"secret").unwrap();
        assert_eq!(cheap().verify(Some(&hash), b"secret"), Ok(true));
    }

    #[test]
    fn empty_secret_never_matches() {
        let hasher = cheap();
        let hash = hasher.hash(b"").unwrap();
        assert_eq!(hasher.verify(Some(&hash), b""), Ok(false));
        assert_eq!(hasher.verify(None, b""), Ok(false));
    }

    #[test]
    fn unknown_user_costs_as_much_as_a_wrong_secret() {
        let hasher = Hasher::new(HashParameters::new(1024, 3, 1).unwrap()).unwrap();
        let hash = hasher.hash(b"secret").unwrap();
        let stored = Stored::parse(&hash).unwrap();
        assert_eq!(stored.parameters, hasher.absent.parameters);
        assert_eq!((stored.version, stored.output.len()), (hasher.absent.version, hasher.absent.output.len()));
        // And it is really computed. Wide of the mark on purpose: other programs run on the machine too.
        let least = |hash: Option<&str>| {
            let time = |_| {
                let start = std::time::Instant::now();
                assert_eq!(hasher.verify(hash, b"wrong"), Ok(false));
                start.elapsed()
            };
            (0..5).map(time).min().unwrap()
        };
        let (known, unknown) = (least(Some(&hash)), least(None));
        assert!(unknown * 5 > known, "known {known:?}, unknown {unknown:?}");
    }

    #[test]
    fn malformed_hash_is_an_error_that_does_not_show_it() {
        let hasher = cheap();
        for (hash, fault) in [
            ("", "is not a PHC string"),
            ("secret", "is not a PHC string"),
            ("$", "is not a PHC string"),
            ("$2b$12$R9h/cIPz0gi.URNNX3kh2OPST9/PgBkqquzi.Ss7KIUgO2t0jWMUW", "is not a PHC string"),
            ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$@@", "is not a PHC string"),
            ("$argon2id$v=19$m=8,t=1,p=1$c2Fs$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "is not a PHC string"),
            ("$argon2i$v=19$m=8,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "is not of argon2id"),
            ("$argon2id$v=18$m=8,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4", "has a version"),
            ("$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ", "lacks its salt or its output"),
            ("$argon2id$v=19$m=8,t=1,p=1", "lacks its salt or its output"),
            (&with_parameters("m=8,t=1"), "has other parameters"),
            (&with_parameters("m=8,t=1,p=1,keyid=AAAA"), "has other parameters"),
            (&with_parameters("m=8,t=1,p=x"), "has other parameters"),
        ] {
            let Unavailable(text) = hasher.verify(Some(hash), b"secret").unwrap_err();
            assert!(text.contains(fault), "{hash:?}: {text}");
            assert!(hash.len() < 3 || !text.contains(hash), "{text}");
            assert!(!text.contains("nf65EOg"), "{text}");
        }
    }

    #[test]
    fn absurd_parameters_are_refused_rather_than_run() {
        let hasher = cheap();
        for parameters in [
            "m=1048577,t=1,p=1",
            "m=4294967295,t=1,p=1",
            "m=8,t=65,p=1",
            "m=8,t=4294967295,p=1",
            "m=1048576,t=5,p=1",
            "m=8,t=1,p=65",
            "m=1048576,t=1,p=16777215",
            "m=7,t=1,p=1",
            "m=15,t=1,p=2",
            "m=8,t=0,p=1",
            "m=8,t=1,p=0",
        ] {
            let Unavailable(text) = hasher.verify(Some(&with_parameters(parameters)), b"secret").unwrap_err();
            assert!(text.contains("is out of bounds"), "{parameters}: {text}");
        }
    }

    #[test]
    fn parameters_are_bounded() {
        assert_eq!(HashParameters::new(8, 0, 1), Err(InvalidHashParameters::Passes(0)));
        assert_eq!(HashParameters::new(7, 1, 1), Err(InvalidHashParameters::Memory(7)));
        assert_eq!(HashParameters::new(8, 1, 0), Err(InvalidHashParameters::Lanes(0)));
        assert_eq!(HashParameters::new(1 << 20, 5, 1), Err(InvalidHashParameters::Work(5 << 20)));
        assert!(HashParameters::new(1 << 20, 4, 1).is_ok());
        assert_eq!(HashParameters::new(19 * 1024, 2, 1), Ok(HashParameters::default()));
    }
}
