//! How a program comes to live in an empty sandbox. Each sandbox is built empty; some are built ahead, while nobody waits,
//! so that who comes next finds one.

use super::furnish::furnish;
use super::maker::{Ends, Maker};
use super::member::{Inmate, Member, Role, Work};
use super::{Begun, Service, Source};
use crate::Layers;
use crate::channel;
use crate::inside::{LARGEST_TMP_BYTES, MOUNTS, NAMESPACES, NETWORK};
use crate::netns;
use crate::protocol::{Arrival, Furniture, SandboxRequest, decode, encode};
use crate::step::{Failure, Steps};
use std::io;
use std::os::fd::OwnedFd;

/// Empty sandboxes that are kept for programs.
const AHEAD: usize = 2;

/// `/tmp` of a sandbox that is built ahead, in bytes. It gets its size when it is known what it is for.
const TMP_BYTES: u64 = 512 << 20;

/// Memory that `/dev/shm` of one that is built ahead is measured by, in bytes: the least that a function has.
const MEMORY_BYTES: u64 = 128 << 20;

/// Who wants a sandbox.
pub(super) struct Lodger {
    pub(super) request: SandboxRequest,
    pub(super) ends: Ends,
}

/// What a built sandbox is entered by.
#[derive(Default)]
pub(super) struct Quarters {
    mounts: Option<OwnedFd>,
    network: Option<OwnedFd>,
    /// For a template's child: all its namespaces, then its Landlock rules where there are any.
    keys: Vec<OwnedFd>,
    /// What was mounted when it was built.
    pub(super) furniture: Option<Furniture>,
}

impl Quarters {
    pub(super) fn new(network: Option<OwnedFd>) -> Self {
        Self { network, ..Self::default() }
    }

    pub(super) fn mounts(&self) -> Option<&OwnedFd> {
        self.mounts.as_ref()
    }

    pub(super) fn is_built(&self) -> bool {
        self.mounts.is_some()
    }

    /// What a child joins, once.
    pub(super) fn take_keys(&mut self) -> Vec<OwnedFd> {
        std::mem::take(&mut self.keys)
    }

    /// Takes what an empty sandbox has handed out.
    fn take(&mut self, fds: Vec<OwnedFd>) -> io::Result<()> {
        if fds.len() < NAMESPACES.len() {
            self.mounts = fds.into_iter().next();
        } else {
            self.mounts = Some(fds[MOUNTS].try_clone()?);
            self.network = Some(fds[NETWORK].try_clone()?);
            self.keys = fds;
        }
        Ok(())
    }

    /// Listening sockets in its network.
    pub(super) fn listeners(&self, maker: &Maker, ports: &[u16]) -> io::Result<Vec<OwnedFd>> {
        match &self.network {
            Some(network) => maker.home.within(network, || netns::listeners(ports)),
            None => Ok(Vec::new()),
        }
    }
}

/// What is built ahead, for programs or for a template's children, and how many.
pub(super) struct Housing {
    pub(super) furniture: Furniture,
    pub(super) ahead: usize,
}

impl Housing {
    /// For programs. Nothing is known of them yet.
    pub(super) fn for_programs() -> Self {
        let (tmp_bytes, memory_bytes) = (TMP_BYTES, MEMORY_BYTES);
        let furniture = Furniture {
            binds: Vec::new(),
            tmp_bytes,
            memory_bytes,
            cpu_millis: 1000,
            cpu_weight: 1024,
            pids: 1,
        };
        Self { furniture, ahead: AHEAD }
    }

    /// The next one that is built ahead has the bounds that were asked for last: most likely they need no change then.
    fn suit(&mut self, last: &Furniture) {
        let binds = std::mem::take(&mut self.furniture.binds);
        self.furniture = Furniture { binds, ..last.clone() };
    }
}

/// What an empty sandbox is built from that is not built for anybody.
fn unclaimed(furniture: Furniture) -> SandboxRequest {
    SandboxRequest { furniture, listen: Vec::new(), control: false, waits: false, layers: Layers::default() }
}

/// What comes of what an empty sandbox has said: `None` when that is nothing yet, or its end, which is an event of its
/// own.
pub(super) fn heard(inmate: &mut Inmate, wait: bool) -> Option<Result<(), Failure>> {
    let failed = |error: io::Error| Failure::new("start", &error);
    match channel::receive(inmate.line(), wait) {
        Ok(Some(message)) if message.fds.is_empty() => {
            Some(Err(decode(&message.bytes).unwrap_or_else(failed)))
        }
        Ok(Some(message)) => Some(inmate.quarters.take(message.fds).map_err(failed)),
        _ => None,
    }
}

/// Starts a program in a sandbox that is built. Returns its listeners.
pub(super) fn start(
    maker: &mut Maker,
    inmate: &mut Inmate,
    lodger: &Lodger,
) -> Result<Vec<OwnedFd>, Failure> {
    let steps = Steps(lodger.request.layers.fault.as_ref());
    let furniture = &lodger.request.furniture;
    if lodger.request.layers.root {
        furnish(maker, inmate, furniture, steps)?;
    } else {
        let bare = Furniture { binds: Vec::new(), ..furniture.clone() };
        furnish(maker, inmate, &bare, steps)?;
    }
    let ports = &lodger.request.listen;
    let listeners = steps.take("network", || inmate.quarters.listeners(maker, ports))?;
    let arrival = Arrival {
        guests: furniture.binds.iter().map(|bind| bind.guest.clone()).collect(),
        tmp_bytes: if lodger.request.waits { LARGEST_TMP_BYTES } else { furniture.tmp_bytes },
        memory_bytes: furniture.memory_bytes,
        pids: furniture.pids,
    };
    steps.take("start", || channel::send(inmate.line(), &encode(&arrival)?, &lodger.ends.descriptors()))?;
    inmate.place.group.entered();
    (inmate.role, inmate.waits) = (Role::Program, lodger.request.waits);
    Ok(listeners)
}

impl Service {
    /// Finds a sandbox for a lodger, or begins to build one: for a program, or for a child of the template `owner`.
    pub(super) fn lodge(&mut self, owner: Option<u64>, lodger: Lodger) -> Result<Begun, Failure> {
        if let Some(housing) = self.housings.get_mut(&owner) {
            housing.suit(&lodger.request.furniture);
        }
        let ready = if lodger.request.layers == Layers::default() { self.ahead(owner) } else { None };
        if let Some((key, inmate)) = ready.and_then(|key| Some((key, self.inmate(key)?))) {
            inmate.role = Role::Vacant { owner, lodger: Some(Box::new(lodger)) };
            return Ok(Begun::Lodged(key));
        }
        self.build(owner, lodger.request.clone(), Some(Box::new(lodger))).map(Begun::New)
    }

    fn build(
        &mut self,
        owner: Option<u64>,
        request: SandboxRequest,
        lodger: Option<Box<Lodger>>,
    ) -> Result<Work, Failure> {
        let identity = owner.map(|owner| self.template_identity(owner)).transpose()?;
        let maker = self.maker.as_mut().ok_or_else(super::unsupported)?;
        let request = match owner {
            // What it may do with files is fixed when it is built; the rest of what it needs comes after.
            Some(_) => request,
            None => {
                SandboxRequest { furniture: Furniture { binds: Vec::new(), ..request.furniture }, ..request }
            }
        };
        let made = match identity {
            Some(identity) => maker.make_vacant(&request, identity)?,
            None => maker.make(&request)?,
        };
        let watched =
            (!maker.bounds_memory() && request.layers.cgroup).then_some(request.furniture.memory_bytes);
        let mut inmate = Inmate::new(made, watched, Role::Vacant { owner, lodger });
        inmate.quarters.furniture = Some(request.furniture);
        Ok(Work::Sandbox(Box::new(inmate)))
    }

    /// An empty sandbox that nobody has yet, of those built ahead.
    fn ahead(&mut self, owner: Option<u64>) -> Option<u64> {
        let built = |key: &u64| match self.members.get(key).map(|member| &member.work) {
            Some(Work::Sandbox(inmate)) => inmate.quarters.is_built(),
            _ => false,
        };
        let key = self.vacancies.get(&owner)?.iter().copied().find(built)?;
        self.vacancies.get_mut(&owner)?.retain(|other| *other != key);
        Some(key)
    }

    /// Builds one more empty sandbox ahead; `false` when there are enough.
    pub(super) fn build_ahead(&mut self) -> bool {
        let lacks = |owner, ahead| self.vacancies.get(owner).map_or(0, Vec::len) < ahead;
        let housing = self.housings.iter().find(|(owner, housing)| lacks(owner, housing.ahead));
        let Some((&owner, housing)) = housing else { return false };
        let request = unclaimed(housing.furniture.clone());
        let Ok(work) = self.build(owner, request, None) else { return false };
        let key = self.admit(Member::unclaimed(work));
        self.vacancies.entry(owner).or_default().push(key);
        true
    }

    /// An empty sandbox has said something.
    pub(super) fn hear_vacant(&mut self, key: u64) {
        let Some(inmate) = self.inmate(key) else { return };
        let heard = heard(inmate, false);
        self.forget(key, Source::Line);
        match heard {
            Some(Ok(())) => self.move_in(key),
            Some(Err(failure)) => self.fail(key, failure),
            None => {}
        }
    }

    /// Lets in who waits for a sandbox, if it is built and somebody does.
    pub(super) fn move_in(&mut self, key: u64) {
        let (Some(maker), Some(member)) = (self.maker.as_mut(), self.members.get_mut(&key)) else { return };
        let Work::Sandbox(inmate) = &mut member.work else { return };
        let Role::Vacant { owner, lodger } = &mut inmate.role else { return };
        let Some(lodger) = lodger.take_if(|_| inmate.quarters.is_built()) else { return };
        let moved = match *owner {
            Some(template) => self.invite(key, template, &lodger),
            None => start(maker, inmate, &lodger).map(|listeners| {
                inmate.say_made(&listeners, inmate.pid(), member.connection.as_ref());
            }),
        };
        if let Err(failure) = moved {
            self.fail(key, failure);
        }
    }

    /// A member has ended: it is no empty sandbox any more, and those that wait for its children wait for nobody.
    pub(super) fn vacate(&mut self, key: u64) {
        self.housings.remove(&Some(key));
        for abandoned in self.vacancies.remove(&Some(key)).unwrap_or_default() {
            if let Some(member) = self.members.get(&abandoned) {
                member.kill();
            }
        }
        self.vacancies.values_mut().for_each(|keys| keys.retain(|other| *other != key));
    }

    /// Ends all empty sandboxes that nobody has yet; others are built in their place.
    pub(super) fn evict(&mut self) {
        for key in self.vacancies.drain().flat_map(|(_, keys)| keys) {
            if let Some(member) = self.members.get(&key) {
                member.kill();
            }
        }
        self.calm.put_off();
    }

    pub(super) fn inmate(&mut self, key: u64) -> Option<&mut Inmate> {
        match &mut self.members.get_mut(&key)?.work {
            Work::Sandbox(inmate) => Some(inmate),
            _ => None,
        }
    }
}
