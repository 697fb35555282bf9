//! "Did you mean": the name closest to one that does not exist.

/// The one of `known` that `wrong` was probably meant to be: few letters apart, or else one that ends in `tail`.
pub(super) fn closest<'a>(wrong: &str, tail: &str, known: impl Iterator<Item = &'a str> + Clone) -> Option<&'a str> {
    let by_letters = known.clone().map(|name| (distance(wrong, name), name)).min();
    match by_letters {
        Some((distance, name)) if distance <= 2.max(wrong.len() / 8) => Some(name),
        Some(_) | None => known.into_iter().find(|name| name.ends_with(tail)),
    }
}

/// How many letters must be put in, taken out or changed (Levenshtein), with two swapped neighbours counting as one.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=other.len()).collect()];
    for (i, letter) in one.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, target) in other.iter().enumerate() {
            let change = rows[i][j] + usize::from(letter != target);
            let mut least = change.min(rows[i][j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && one[i - 1] == *target && *letter == other[j - 1] {
                least = least.min(rows[i - 1][j - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters() {
        for (one, other, count) in [
            ("", "", 0),
            ("", "abc", 3),
            ("store", "store", 0),
            ("stroe", "store", 1),
            ("stor", "store", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), count, "{one} {other}");
            assert_eq!(distance(other, one), count, "{other} {one}");
        }
    }

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
