"""Light transport in two layers: a path tracer that keeps the light on the garment apart from its colour.

For every camera ray that first meets a garment, all light that the garment scatters diffusely towards the
camera goes to `light`, over the garment's albedo; its gloss goes to `gloss`. Everything that rays meet first
elsewhere goes to the image itself, `rest`. So image = rest + gloss + albedo * light for any albedo, but for
what a garment reflects onto its surroundings: that is computed with the albedo `BOUNCE`.
"""
# mypy: disable-error-code="no-untyped-def, no-untyped-call, misc, untyped-decorator"

from __future__ import annotations

from typing import Any

import numpy as np

from .extra import mitsuba, need

mi: Any = mitsuba()
dr: Any = need("drjit")
BOUNCE = 0.5  # albedo of garments as seen by indirect light
AOVS = (
    *("light.R", "light.G", "light.B", "albedo.R", "albedo.G", "albedo.B"),
    *("n.X", "n.Y", "n.Z", "cover.Y", "gloss.R", "gloss.G", "gloss.B"),
)


def shape_id(shape: Any) -> Any:
    """The number that Dr.Jit gives a shape, or the shapes that rays hit."""
    return dr.reinterpret_array(mi.UInt32, mi.ShapePtr(shape))


def shape_numbers(shapes: Any) -> Any:
    """`shape_id` as a numpy array."""
    return np.array(shape_id(shapes))


class TwoLayers(mi.SamplingIntegrator):
    """Path tracing with next-event estimation and multiple importance sampling, in two layers.

    The image's channels are rest (R, G, B), then `AOVS`: `cover` is the share of rays that met a garment
    first. Properties that change between people are opaque to the compiler, so that its kernel is compiled
    once.
    """

    def __init__(self, props: Any = None) -> None:
        super().__init__(props if props is not None else mi.Properties())
        self.depth = 4
        self.set_person(0, 1, (0.2, 0.2), (0.0, 0.0), (0.5, 0.5))

    def set_person(
        self,
        upper: int,
        lower: int,
        sheen: tuple[float, float],
        gloss: tuple[float, float],
        roughness: tuple[float, float],
    ) -> None:
        """The shape numbers of both garments, and their finish: (upper, lower)."""
        self.upper = dr.opaque(mi.UInt32, upper)
        self.lower = dr.opaque(mi.UInt32, lower)
        self.sheen = [dr.opaque(mi.Float, v) for v in sheen]
        self.gloss = [dr.opaque(mi.Float, v) for v in gloss]
        self.alpha = [dr.opaque(mi.Float, v * v) for v in roughness]

    def set_lamps(self, scene: Any) -> None:
        """The scene's lamps, in the order of their names: the scene's own order changes from run to run."""
        lamps = sorted(scene.emitters(), key=lambda lamp: lamp.id())
        numbers = [int(dr.reinterpret_array(mi.UInt32, mi.EmitterPtr(lamp))[0]) for lamp in lamps]
        self.lamps = mi.UInt32(numbers)
        self.lamp_count = len(lamps)

    def _lamp_light(self, scene: Any, si: Any, choice: Any, where: Any, active: Any) -> Any:
        """A direction towards one lamp, drawn evenly, and what arrives from it over the density."""
        n = self.lamp_count
        index = dr.minimum(mi.UInt32(choice * n), n - 1)
        lamp = dr.reinterpret_array(mi.EmitterPtr, dr.gather(mi.UInt32, self.lamps, index, active))
        ds, light = lamp.sample_direction(si, where, active)
        ds.pdf /= n
        light *= n
        hidden = scene.ray_test(si.spawn_ray_to(ds.p), active & (ds.pdf != 0.0))
        return ds, dr.select(hidden, 0.0, light)

    def aov_names(self) -> list[str]:
        return list(AOVS)

    @dr.syntax
    def sample(self, scene, sampler, ray_, medium=None, active=True):
        ray = mi.Ray3f(ray_)
        active = mi.Bool(active)
        weight = mi.Spectrum(1.0)
        rest = mi.Spectrum(0.0)
        light = mi.Spectrum(0.0)
        albedo = mi.Spectrum(0.0)
        normal = mi.Normal3f(0.0)
        cover = mi.Float(0.0)
        glow = mi.Spectrum(0.0)
        on_garment = mi.Bool(False)
        depth = mi.UInt32(0)
        prev_si = dr.zeros(mi.SurfaceInteraction3f)
        prev_pdf = mi.Float(1.0)
        first = mi.Bool(True)
        context = mi.BSDFContext()
        while active:
            si = scene.ray_intersect(ray, mi.RayFlags.All, coherent=first)
            # light that the ray meets
            ds = mi.DirectionSample3f(scene, si, prev_si)
            pdf_light = scene.pdf_emitter_direction(prev_si, ds, ~first)
            share = dr.select(first, 1.0, prev_pdf / dr.maximum(prev_pdf + pdf_light, 1e-20))
            seen = weight * share * ds.emitter.eval(si)
            light += dr.select(on_garment, seen, 0.0)
            rest += dr.select(on_garment, 0.0, seen)
            hit = si.is_valid()
            active &= hit
            bsdf = si.bsdf(ray)
            # what the first hit is
            number = dr.reinterpret_array(mi.UInt32, si.shape)
            upper = number == self.upper
            lower = number == self.lower
            starts = first & active
            garment = starts & (upper | lower)
            on_garment |= garment
            cover = dr.select(garment, 1.0, cover)
            facing = dr.abs(dr.dot(si.sh_frame.n, -ray.d))
            sheen = dr.select(upper, self.sheen[0], self.sheen[1])
            weight *= dr.select(garment, (1 + sheen * (1 - facing) ** 3) / BOUNCE, 1.0)
            if dr.hint(starts, mode="symbolic"):
                colour = bsdf.eval_diffuse_reflectance(si, active)
                albedo = dr.select(garment, mi.Spectrum(0.0), colour)
                normal = mi.Normal3f(si.sh_frame.n)
            # light from the lamps
            again = active & (depth + 1 < self.depth)
            ds2, radiance = self._lamp_light(
                scene, si, sampler.next_1d(again), sampler.next_2d(again), again
            )
            lit = again & (ds2.pdf != 0.0)
            wo = si.to_local(ds2.d)
            value, pdf = bsdf.eval_pdf(context, si, wo, lit)
            balance = dr.select(ds2.delta, 1.0, ds2.pdf / dr.maximum(ds2.pdf + pdf, 1e-20))
            direct = weight * value * radiance * balance
            light += dr.select(on_garment & lit, direct, 0.0)
            rest += dr.select(~on_garment & lit, direct, 0.0)
            # the garment's own gloss, from the lamps alone
            alpha = dr.select(upper, self.alpha[0], self.alpha[1])
            gloss = dr.select(upper, self.gloss[0], self.gloss[1])
            shine = gloss * _gloss(si.wi, wo, alpha) * radiance
            glow += dr.select(garment & lit & (gloss > 0), shine, 0.0)
            # onwards
            bs, factor = bsdf.sample(
                context, si, sampler.next_1d(again), sampler.next_2d(again), again
            )
            weight *= factor
            ray = si.spawn_ray(si.to_world(bs.wo))
            prev_si = dr.detach(si, True)
            prev_pdf = mi.Float(bs.pdf)
            depth += 1
            first = mi.Bool(False)
            active = again & (dr.max(weight) > 1e-4)
        aovs = [*light, *albedo, *normal, cover, *glow]
        return rest, mi.Bool(True), aovs


def _gloss(wi: Any, wo: Any, alpha: Any) -> Any:
    """GGX reflection with Schlick's Fresnel term at 0.04, times the cosine; both sides of the cloth shine.

    Source: Walter et al., "Microfacet Models for Refraction through Rough Surfaces" (2007).
    """
    front = mi.Frame3f.cos_theta(wi) * mi.Frame3f.cos_theta(wo) > 0
    half = dr.normalize(wi + wo)
    a2 = alpha * alpha
    d = half.z * half.z * (a2 - 1) + 1
    spread = a2 / (dr.pi * d * d)
    co, ci = dr.abs(wo.z), dr.abs(wi.z)
    shadow = 0.5 / dr.maximum(
        co * dr.sqrt(a2 + (1 - a2) * ci * ci) + ci * dr.sqrt(a2 + (1 - a2) * co * co), 1e-4
    )
    fresnel = 0.04 + 0.96 * (1 - dr.abs(dr.dot(wi, half))) ** 5
    return dr.select(front, spread * shadow * fresnel * co, 0.0)
