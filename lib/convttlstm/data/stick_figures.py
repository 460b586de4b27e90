"""Stick figures that box, clap, wave, walk, jog and run."""

from math import cos, pi, sin
from typing import NamedTuple

from PIL import Image, ImageDraw

GROUND = 110  # the row that the figure stands on
SUPERSAMPLING = 2
# Lengths are in units of the figure's height, angles in radians.
THIGH, SHIN, FOOT = 0.25, 0.24, 0.07
TORSO, UPPER_ARM, FOREARM = 0.32, 0.17, 0.18
ANKLE = 0.03  # above the ground


class Look(NamedTuple):
    """A person: height in pixels, tempo and build around 1, grey levels of skin, hair and clothes.

    A coat reaches `hem` below the hip.
    """

    height: float
    tempo: float
    build: float
    skin: float
    hair: float
    shirt: float
    trousers: float
    hem: float = 0.0


class Gait(NamedTuple):
    """A way of crossing the scene: frames a pass takes, stride of two steps, joints' angles."""

    frames: int
    stride: float
    thigh: float
    knee: float
    arm: float
    elbow: float
    lean: float
    hop: float


GAITS = {
    "walking": Gait(51, stride=1.0, thigh=0.45, knee=0.75, arm=0.45, elbow=0.3, lean=0.02, hop=0.0),
    "jogging": Gait(31, stride=1.4, thigh=0.55, knee=1.4, arm=0.6, elbow=1.4, lean=0.12, hop=0.02),
    "running": Gait(23, stride=1.9, thigh=0.8, knee=1.9, arm=0.95, elbow=1.6, lean=0.22, hop=0.05),
}
PERIODS = {"boxing": 26, "handclapping": 18, "handwaving": 32}  # frames


class Limb(NamedTuple):
    """A thick line with round ends; x + iy is x forward of the hip and y above the ground."""

    start: complex
    end: complex
    width: float
    grey: float


def stride(gait: Gait, look: Look, phase: float) -> list[Limb]:
    """Return a person who crosses the scene."""
    legs: list[tuple[float, float]] = []
    arms: list[tuple[float, float]] = []
    for leg in (phase + pi, phase):
        # A knee bends while its leg swings forward; the arm goes against the leg of its side.
        legs.append((gait.thigh * (sin(leg) + 0.2), 0.1 + gait.knee * max(0.0, cos(leg + 0.4))))
        arms.append((-gait.arm * sin(leg), gait.elbow))
    return _sideways(look, gait.lean, legs, arms, gait.hop * sin(phase) ** 2)


def _boxing(look: Look, phase: float) -> list[Limb]:
    arms: list[tuple[float, float]] = []
    for fist in (-sin(phase), sin(phase)):
        reach = max(0.0, fist)
        arms.append((0.3 + 1.25 * reach, 2.3 * (1 - reach)))  # from the chin to straight ahead
    legs = [(-0.2, 0.3), (0.45, 0.5)]
    return _sideways(look, 0.06 + 0.05 * abs(sin(phase)), legs, arms, 0.0)


def _handclapping(look: Look, phase: float) -> list[Limb]:
    apart = (1 - cos(phase)) / 2
    # Elbows stay bent; seen from the front, forearms turn from across the chest to outwards.
    turn = -1.15 + 1.85 * apart
    return _facing(look, 0.35 + 0.3 * apart, complex(FOREARM * sin(turn), 0.06))


def _handwaving(look: Look, phase: float) -> list[Limb]:
    raised = (1 - cos(phase)) / 2
    angle = 0.2 + 2.7 * raised
    return _facing(look, angle, FOREARM * _down(angle + 0.15))


STANDING = {"boxing": _boxing, "handclapping": _handclapping, "handwaving": _handwaving}


def _down(angle: float) -> complex:
    """Return the unit vector that is turned forward by `angle` from straight down."""
    return complex(sin(angle), -cos(angle))


def _sideways(
    look: Look, lean: float, legs: list[tuple[float, float]], arms: list[tuple[float, float]], hop: float
) -> list[Limb]:
    """Return a figure seen from its side, farthest limbs first.

    Args:
        look: the person.
        lean: the trunk's angle forward.
        legs: far and near thigh's angle forward, and bend of the knee.
        arms: far and near upper arm's angle forward, and bend of the elbow.
        hop: height of the lower foot above the ground.
    """
    thick, up = look.build, -_down(-lean)
    lowest = max(THIGH * cos(thigh) + SHIN * cos(thigh - knee) for thigh, knee in legs)
    hip = 1j * (lowest + ANKLE + hop)
    shoulder = hip + TORSO * up
    sides: list[list[Limb]] = []
    for (thigh, knee), (arm, elbow), shade in zip(legs, arms, (-15, 20), strict=True):
        bend = hip + THIGH * _down(thigh)
        ankle = bend + SHIN * _down(thigh - knee)
        crook = shoulder + UPPER_ARM * _down(arm)
        hand = crook + FOREARM * _down(arm + elbow)
        limbs = [
            Limb(ankle, ankle + FOOT * _down(thigh - knee + pi / 2), 0.045, look.hair + shade / 2),
            Limb(bend, ankle, 0.07 * thick, look.trousers + shade / 2),
            Limb(hip, bend, 0.1 * thick, look.trousers + shade / 2),
            Limb(shoulder, crook, 0.065 * thick, look.shirt + shade),
            Limb(crook, hand, 0.055 * thick, look.skin + shade),
            Limb(hand, hand, 0.065, look.skin + shade),
        ]
        sides.append(limbs)
    far, near = sides
    neck = shoulder + 0.11 * up
    trunk = [
        Limb(shoulder, neck, 0.06, look.skin),
        Limb(shoulder - 0.03 * up, hip - look.hem * up, 0.145 * thick, look.shirt),
        Limb(neck, neck, 0.13, look.hair),
        Limb(neck + 0.022 - 0.015j, neck + 0.022 - 0.015j, 0.1, look.skin),
    ]
    # A coat hides the thigh, and the near arm everything.
    return [*far, *near[:3], *trunk, *near[3:]]


def _facing(look: Look, arm: float, forearm: complex) -> list[Limb]:
    """Return a figure that faces us, farthest limbs first.

    Args:
        look: the person.
        arm: angle between upper arms and body.
        forearm: from elbow to hand, as we see it; x outwards.
    """
    thick = look.build
    hip, shoulder = 0.05 + 1j * (THIGH + SHIN + ANKLE), 0.07 + 0.03 * thick + 0.79j
    ankle = hip + (THIGH + SHIN) * _down(0.06)
    elbow = shoulder + UPPER_ARM * _down(arm)
    hand = elbow + forearm
    chest, head = 0.03 + 0.025 * thick + 0.77j, 0.92j
    half = [
        Limb(ankle, ankle + 0.02 - 0.01j, 0.05, look.hair),
        Limb(hip + THIGH * _down(0.06), ankle, 0.07 * thick, look.trousers),
        Limb(hip, hip + THIGH * _down(0.06), 0.1 * thick, look.trousers),
        Limb(chest, complex(0.8 * chest.real, hip.imag - look.hem), 0.12 * thick, look.shirt),
        Limb(0.83j, head, 0.06, look.skin),
        Limb(head, head, 0.135, look.hair),
        Limb(head - 0.02j, head - 0.02j, 0.105, look.skin),
        Limb(shoulder, elbow, 0.065 * thick, look.shirt + 20),
        Limb(elbow, hand, 0.055 * thick, look.skin + 15),
        Limb(hand, hand, 0.07, look.skin + 25),
    ]
    both = []
    for limb in half:
        both += [limb, limb._replace(start=-limb.start.conjugate(), end=-limb.end.conjugate())]
    return both


def draw_limbs(
    canvas: Image.Image, limbs: list[Limb], height: float, x: float, direction: int, light: float
) -> None:
    """Draw a figure of `height` pixels whose hip is in column `x`."""
    pen = ImageDraw.Draw(canvas)
    for limb in limbs:
        ends = [
            (
                SUPERSAMPLING * (x + direction * height * end.real),
                SUPERSAMPLING * (GROUND - height * end.imag),
            )
            for end in (limb.start, limb.end)
        ]
        grey, width = round(light * limb.grey), SUPERSAMPLING * height * limb.width
        if limb.start != limb.end:
            pen.line(ends, grey, round(width))
        for end in ends:
            pen.circle(end, width / 2, grey)
