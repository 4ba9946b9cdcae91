//! What an address is, and whether a function may connect to it. Pure: the decision is about the address that is
//! connected to, never about a name.

use model::Egress;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What lies at an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    Public,
    Private,
    Loopback,
    LinkLocal,
    /// Where clouds tell a machine its secrets.
    Metadata,
    Multicast,
    /// Nobody's: unspecified, documentation, reserved.
    Nowhere,
}

/// Metadata services that do not lie in a range that is refused anyway.
const METADATA_4: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];
const METADATA_6: [Ipv6Addr; 3] = [
    Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd20, 0x00ce, 0, 0, 0, 0, 0, 0x0254),
    Ipv6Addr::new(0xfd00, 0x0042, 0, 0, 0, 0, 0, 0x0042),
];

impl Reach {
    /// Of an address.
    pub(super) fn of(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => of_4(address),
            IpAddr::V6(address) => of_6(address),
        }
    }

    /// Whether a function with this policy may connect there.
    pub(super) fn is_open_to(self, egress: Egress) -> bool {
        match self {
            Self::Public => egress >= Egress::Public,
            Self::Private => egress >= Egress::All,
            _ => false,
        }
    }

    /// In words, for the refusal.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Public => "a public address",
            Self::Private => "a private address",
            Self::Loopback => "the machine's own loopback",
            Self::LinkLocal => "a link-local address",
            Self::Metadata => "a metadata service",
            Self::Multicast => "a multicast address",
            Self::Nowhere => "no address of the internet",
        }
    }
}

fn of_4(address: Ipv4Addr) -> Reach {
    if METADATA_4.contains(&address) {
        return Reach::Metadata;
    }
    match address.octets() {
        [127, ..] => Reach::Loopback,
        [169, 254, ..] => Reach::LinkLocal,
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] | [100, 64..=127, ..] | [198, 18 | 19, ..] => {
            Reach::Private
        }
        [0, ..]
        | [192, 0, 0 | 2, _]
        | [192, 88, 99, _]
        | [198, 51, 100, _]
        | [203, 0, 113, _]
        | [240..=255, ..] => Reach::Nowhere,
        [224..=239, ..] => Reach::Multicast,
        _ => Reach::Public,
    }
}

/// Addresses that carry one of IPv4 are what they carry.
fn of_6(address: Ipv6Addr) -> Reach {
    if METADATA_6.contains(&address) {
        return Reach::Metadata;
    }
    let carried = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        of_4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 1] => Reach::Loopback,
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0, 0, 0, 0, 0xffff, 0, high, low] => carried(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => carried(high, low),
        [0xfe80..=0xfebf, ..] => Reach::LinkLocal,
        [0xfc00..=0xfdff, ..] | [0xfec0..=0xfeff, ..] | [0x64, 0xff9b, 1, ..] => Reach::Private,
        [0xff00..=0xffff, ..] => Reach::Multicast,
        // Teredo, ORCHID and other protocol assignments; documentation.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] => Reach::Nowhere,
        [0x2000..=0x3fff, ..] => Reach::Public,
        _ => Reach::Nowhere,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_what_they_carry() {
        use Reach::*;
        let cases: &[(&str, Reach)] = &[
            ("1.1.1.1", Public),
            ("8.8.8.8", Public),
            ("100.63.255.255", Public),
            ("172.32.0.1", Public),
            ("10.0.0.1", Private),
            ("172.16.0.1", Private),
            ("172.31.255.255", Private),
            ("192.168.1.1", Private),
            ("100.64.0.1", Private),
            ("198.18.0.1", Private),
            ("127.0.0.1", Loopback),
            ("127.255.255.254", Loopback),
            ("169.254.169.254", LinkLocal),
            ("169.254.170.2", LinkLocal),
            ("100.100.100.200", Metadata),
            ("168.63.129.16", Metadata),
            ("192.0.0.192", Metadata),
            ("0.0.0.0", Nowhere),
            ("0.1.2.3", Nowhere),
            ("192.0.2.1", Nowhere),
            ("203.0.113.9", Nowhere),
            ("255.255.255.255", Nowhere),
            ("240.0.0.1", Nowhere),
            ("224.0.0.1", Multicast),
            ("239.255.255.250", Multicast),
            ("::", Nowhere),
            ("::1", Loopback),
            ("::127.0.0.1", Loopback),
            ("::ffff:127.0.0.1", Loopback),
            ("::ffff:169.254.169.254", LinkLocal),
            ("::ffff:10.0.0.1", Private),
            ("::ffff:8.8.8.8", Public),
            ("::ffff:0:127.0.0.1", Loopback),
            ("64:ff9b::a9fe:a9fe", LinkLocal),
            ("64:ff9b::808:808", Public),
            ("64:ff9b:1::1", Private),
            ("2002:7f00:1::", Loopback),
            ("2002:a00:1::1", Private),
            ("fe80::1", LinkLocal),
            ("fec0::1", Private),
            ("fd12:3456::1", Private),
            ("fd00:ec2::254", Metadata),
            ("fd20:ce::254", Metadata),
            ("ff02::1", Multicast),
            ("2001:db8::1", Nowhere),
            ("2001::1", Nowhere),
            ("100::1", Nowhere),
            ("4000::1", Nowhere),
            ("2606:4700:4700::1111", Public),
        ];
        for (address, expected) in cases {
            assert_eq!(Reach::of(address.parse().unwrap()), *expected, "{address}");
        }
    }

    #[test]
    fn each_policy_opens_so_much() {
        let all = [
            Reach::Public,
            Reach::Private,
            Reach::Loopback,
            Reach::LinkLocal,
            Reach::Metadata,
            Reach::Multicast,
            Reach::Nowhere,
        ];
        for (egress, open) in [
            (Egress::None, &[][..]),
            (Egress::Platform, &[]),
            (Egress::Public, &[Reach::Public]),
            (Egress::All, &[Reach::Public, Reach::Private]),
        ] {
            let found: Vec<Reach> = all.into_iter().filter(|reach| reach.is_open_to(egress)).collect();
            assert_eq!(found, open, "{egress}");
        }
    }
}
