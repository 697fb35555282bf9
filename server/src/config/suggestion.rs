//! "Did you mean": the name closest to one that does not exist.

use strsim::osa_distance;

/// The one of `known` that `wrong` was probably meant to be: few letters apart, or else one that ends in `tail`.
pub(super) fn closest<'a>(wrong: &str, tail: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let most = 2.max(wrong.len() / 8);
    // As many letters as one is longer than the other are apart at least; to count the rest takes time by the product of
    // both lengths, and a file may hold names of any length.
    let is_near = |name: &&str| name.chars().count().abs_diff(wrong.chars().count()) <= most;
    let by_letters = known.clone().filter(is_near).map(|name| (osa_distance(wrong, name), name)).min();
    match by_letters {
        Some((distance, name)) if distance <= most => Some(name),
        Some(_) | None => known.into_iter().find(|name| name.ends_with(tail)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_name_is_suggested_if_it_is_close() {
        let known = ["server.listen", "server.store", "limits.users_max", "limits.flood_per_second"];
        for (wrong, suggestion) in [
            ("server.lisen", Some("server.listen")),
            ("server.stroe", Some("server.store")),
            ("limit.users_max", Some("limits.users_max")),
            ("limits.flood_per_secound", Some("limits.flood_per_second")),
            ("server.users_max", Some("limits.users_max")),
            ("listen", Some("server.listen")),
            ("server.colour", None),
            ("x", None),
            ("", None),
        ] {
            let tail = format!(".{}", wrong.rsplit('.').next().unwrap());
            assert_eq!(closest(wrong, &tail, known.into_iter()), suggestion, "{wrong}");
        }
    }
}
