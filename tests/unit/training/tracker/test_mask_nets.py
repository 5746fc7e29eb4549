"""Networks of the mask study against the papers' numbers, plain references and hand-made inputs."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="training needs PyTorch; install the train extra")

import math  # noqa: E402

from puncta.training.nets import stcn  # noqa: E402
from puncta.training.nets.budget import count_parameters  # noqa: E402
from puncta.training.nets.cmt import Block, CmtTrunk, LightAttention, RelativeBias  # noqa: E402
from puncta.training.nets.flow_regression import FlowRegression, displaced, hypotheses  # noqa: E402
from puncta.training.nets.mask_baselines import UNet  # noqa: E402
from puncta.training.tracker.study_rows import (  # noqa: E402
    FRAMEWISE,
    MEMORY,
    PREVIOUS,
    Row,
    build_frame_net,
    build_memory_net,
    build_net,
    table_1_rows,
    table_2_rows,
)


def millions(net: torch.nn.Module) -> float:
    return count_parameters(net) / 1e6


class TestPapersNumbers:
    def test_stcn_has_the_specifications_54_43_million_and_its_parts_theirs(self) -> None:
        with torch.device("meta"):
            net = build_memory_net(Row("s", "s", "stcn", "full"))
        assert millions(net) == pytest.approx(54.43, abs=0.005)
        assert millions(net.trunk) == pytest.approx(8.54, abs=0.005)
        assert millions(net.value_trunk) + millions(net.fusion) == pytest.approx(21.70, abs=0.005)
        assert millions(net.decoder) == pytest.approx(18.88, abs=0.005)
        assert millions(net.key_comp) == pytest.approx(4.72, abs=0.005)
        assert millions(net.key_proj) == pytest.approx(0.59, abs=0.005)

    @pytest.mark.parametrize(
        ("depths", "widths", "stem", "ratio", "told"),
        [
            ((2, 2, 10, 2), (46, 92, 184, 368), 16, 3.6, 11.9),
            ((3, 3, 12, 3), (52, 104, 208, 416), 16, 3.8, 17.6),
            ((3, 3, 16, 3), (64, 128, 256, 512), 32, 4.0, 28.5),
        ],
    )
    def test_the_trunk_is_cmt_in_its_three_sizes(self, depths, widths, stem, ratio, told) -> None:
        with torch.device("meta"):
            trunk = CmtTrunk(depths, widths, stem, ratio, size=384)
        head = widths[-1] * 1280 + 2 * 1280 + 1280 * 1000 + 1000
        assert (count_parameters(trunk) + head) / 1e6 == pytest.approx(told, abs=0.06)
        assert millions(trunk.biases) == pytest.approx(2.49, abs=0.005)

    @pytest.mark.parametrize(
        ("net", "told"),
        [("unet", 31.4), ("segnet", 29.4), ("fcn32", 134.3), ("vgg16-unet", 24.9), ("resnet50-fcn32", 32.9),
         ("pspnet", 46.6)],
    )
    def test_baselines_have_the_size_of_their_papers(self, net: str, told: float) -> None:
        with torch.device("meta"):
            assert millions(build_frame_net(Row(net, net, net, "full"))) == pytest.approx(told, abs=0.06)

    def test_small_unets_are_those_of_the_specification(self) -> None:
        with torch.device("meta"):
            assert millions(UNet(16)) == pytest.approx(1.96, abs=0.01)
            assert millions(UNet(8, 1)) == pytest.approx(0.49, abs=0.01)

    def test_tables_1_and_2_stand_as_presets_and_run_at_384_and_448(self) -> None:
        assert [row.depths for row in table_1_rows()] == [(2, 2, 6, 2), (2, 2, 10, 2), (3, 3, 12, 3), (3, 3, 16, 3)]
        assert [row.window for row in table_2_rows()] == [5, 7, 9, 11]
        with torch.device("meta"):
            counts = [millions(build_memory_net(row)) for row in table_1_rows()]
            assert counts == sorted(counts)
            net = build_memory_net(table_2_rows()[2])
            for side in (384, 448):
                out = net(torch.zeros(1, 2, side, side), torch.zeros(1, side, side))
                assert out.shape == (1, 1, side, side)
                semantic = net.encode_query(torch.zeros(1, 1, side, side)).semantic
                assert semantic.shape == (1, 512, side // 32, side // 32)

    @pytest.mark.parametrize("name", [*FRAMEWISE, *PREVIOUS, *MEMORY])
    def test_small_rows_are_small_and_keep_the_pictures_shape(self, name: str) -> None:
        from puncta.training.tracker.study_clips import ClipInput

        with torch.device("meta"):
            net = build_net(Row(name, name, name), 64)
            clip = ClipInput(torch.zeros(2, 3, 64, 64), torch.zeros(2, 64, 64), torch.zeros(2, dtype=torch.bool))
            assert net(clip).shape == (2, 2, 64, 64)
        assert millions(net) < 2.0


class TestMemoryRead:
    def reference(self, mk, mv, qk, top_k):
        """Distance by distance, the way the formula is told."""
        c = mk.shape[1]
        memory, value = mk[0].reshape(c, -1).T, mv[0].reshape(mv.shape[1], -1).T
        query = qk[0].reshape(c, -1).T
        out = []
        for q in query:
            score = [-float(((m - q) ** 2).sum()) / math.sqrt(c) for m in memory]
            best = sorted(range(len(score)), key=lambda i: -score[i])[: top_k or len(score)]
            top = max(score[i] for i in best)
            weights = [math.exp(score[i] - top) for i in best]
            out.append(sum(w * value[i] for w, i in zip(weights, best, strict=True)) / sum(weights))
        return torch.stack(out, 1).reshape(1, -1, *qk.shape[2:])

    @pytest.mark.parametrize("top_k", [None, 1, 5, 1000])
    def test_agrees_with_squared_distances_taken_one_by_one(self, top_k: int | None) -> None:
        torch.manual_seed(3)
        mk, mv = torch.randn(1, 6, 3, 4, 5), torch.randn(1, 7, 3, 4, 5)
        qk = torch.randn(1, 6, 4, 5)
        found = stcn.read_memory(mk, mv, qk, top_k)
        assert torch.allclose(found, self.reference(mk, mv, qk, top_k), atol=1e-5)

    def test_weights_sum_to_one_and_a_cell_finds_itself(self) -> None:
        torch.manual_seed(0)
        key = 4 * torch.randn(1, 16, 30)
        weights = stcn.affinity(key, key, 20)
        assert torch.allclose(weights.sum(1), torch.ones(1, 30), atol=1e-5)
        assert (weights.argmax(1)[0] == torch.arange(30)).all()
        assert int((weights[0, :, 0] > 0).sum()) <= 20

    def test_bank_remembers_the_first_and_every_fifth_frame_and_reuses_their_keys(self, monkeypatch) -> None:
        torch.manual_seed(1)
        net = build_memory_net(Row("s", "s", "stcn")).eval()
        encoded, kept = [], []
        query, value = net.encode_query, net.encode_value
        monkeypatch.setattr(net, "encode_query", lambda image: encoded.append(1) or query(image))
        monkeypatch.setattr(net, "encode_value", lambda *a: kept.append(len(encoded)) or value(*a))
        bank = stcn.MemoryBank(net)
        assert bank.step(torch.randn(32, 32)) is None
        bank.step(torch.randn(32, 32), torch.ones(32, 32))
        for _ in range(11):
            assert bank.step(torch.randn(32, 32)).shape == (32, 32)
        assert len(encoded) == 13
        assert kept == [2, 7, 12]
        bank.reset()
        assert len(bank) == 0

    def test_bank_with_a_limit_keeps_the_first_frame(self) -> None:
        net = build_memory_net(Row("s", "s", "stcn")).eval()
        bank = stcn.MemoryBank(net, every=1, limit=3)
        bank.step(torch.randn(32, 32), torch.ones(32, 32))
        first = bank._keys[0]
        for _ in range(6):
            bank.step(torch.randn(32, 32))
        assert len(bank) == 3
        assert bank._keys[0] is first

    def test_clip_training_equals_the_bank_frame_by_frame(self) -> None:
        torch.manual_seed(2)
        for net_name in ("stcn", "stnan"):
            net = build_memory_net(Row("s", "s", net_name), 32).eval()
            images, mask = torch.randn(1, 4, 32, 32), (torch.rand(1, 32, 32) > 0.7).float()
            whole = torch.sigmoid(net(images, mask))[0]
            bank = stcn.MemoryBank(net, every=1)
            bank.step(images[0, 0], mask[0])
            for t in range(1, 4):
                assert torch.allclose(bank.step(images[0, t]), whole[t - 1], atol=1e-4)


class TestConvolutionAndTransformer:
    def test_attention_agrees_with_the_formula_written_out(self) -> None:
        torch.manual_seed(4)
        attention = LightAttention(8, heads=2, reduction=2).eval()
        x, bias = torch.randn(1, 16, 8), torch.randn(2, 16, 4)
        found = attention(x, (4, 4), bias)
        small = attention.reduce(x.transpose(1, 2).reshape(1, 8, 4, 4)).flatten(2).transpose(1, 2)
        q, k, v = attention.query(x)[0], attention.key(small)[0], attention.value(small)[0]
        heads = []
        for h in range(2):
            part = slice(4 * h, 4 * h + 4)
            score = q[:, part] @ k[:, part].T / math.sqrt(4) + bias[h]
            heads.append(torch.softmax(score, 1) @ v[:, part])
        assert torch.allclose(found[0], attention.project(torch.cat(heads, 1)), atol=1e-5)

    def test_block_whose_branches_are_silent_passes_its_input_on(self) -> None:
        block = Block(8, 1, 2, 2.0).eval()
        for part in (block.local.conv, block.attention.project, block.feed.narrow[0]):
            torch.nn.init.zeros_(part.weight)
            torch.nn.init.zeros_(part.bias)
        x = torch.randn(2, 8, 4, 4)
        assert torch.allclose(block(x, None), x, atol=1e-6)

    def test_depthwise_step_shifts_with_the_picture(self) -> None:
        block = Block(4, 1, 1, 2.0)
        x = torch.randn(1, 4, 10, 10)
        moved = block.local(torch.roll(x, (1, 2), (2, 3)))
        assert torch.allclose(moved[:, :, 3:-3, 4:-4], torch.roll(block.local(x), (1, 2), (2, 3))[:, :, 3:-3, 4:-4],
                              atol=1e-6)

    def test_features_come_at_strides_4_to_32_for_any_depths(self) -> None:
        trunk = CmtTrunk((1, 2, 1, 1), (8, 16, 24, 32), 8, 2.0, size=64, channels=1).eval()
        sizes = [tuple(f.shape[1:]) for f in trunk(torch.randn(1, 1, 64, 64))]
        assert sizes == [(8, 16, 16), (16, 8, 8), (24, 4, 4), (32, 2, 2)]
        assert [len(stage) for stage in trunk.stages] == [1, 2, 1, 1]

    def test_relative_bias_of_another_size_is_interpolated(self) -> None:
        bias = RelativeBias(2, 8, 4)
        with torch.no_grad():
            bias.table.copy_(torch.arange(64.0)[None, :, None].expand_as(bias.table))
        assert bias((8, 8), 4) is bias.table
        other = bias((12, 12), 4)
        assert other.shape == (2, 144, 9)
        # Rows run from top to bottom in both, so the bias still grows downwards.
        assert (other[0, :, 0].reshape(12, 12).mean(1).diff() >= 0).all()


class Likeness(torch.nn.Module):
    """A matching cost that needs no learning: the squared distance of the features laid over each other."""

    def forward(self, pair: torch.Tensor) -> torch.Tensor:
        now, before = pair.chunk(2, 1)
        return 40.0 * (now - before).square().sum(1, keepdim=True)


class TestFlow:
    def test_window_of_hypotheses_is_what_it_says(self) -> None:
        features = torch.arange(30.0).reshape(1, 1, 5, 6)
        moved = displaced(features, 3)
        steps = hypotheses(3)
        assert moved.shape == (1, 9, 1, 5, 6)
        for n, (dx, dy) in enumerate(steps.tolist()):
            assert moved[0, n, 0, 2, 3] == features[0, 0, 2 + int(dy), 3 + int(dx)]
        assert moved[0, 0, 0, 0, 0] == 0.0
        with pytest.raises(ValueError, match="odd"):
            displaced(features, 4)

    @pytest.mark.parametrize("window", [5, 7, 9, 11])
    @pytest.mark.parametrize("shift", [(0, 0), (2, -1), (-2, 2)])
    def test_a_shifted_pattern_gives_the_shift(self, window: int, shift: tuple[int, int]) -> None:
        torch.manual_seed(5)
        flow = FlowRegression(6, window, reduced=6)
        flow.match = Likeness()
        now = torch.randn(1, 6, 12, 12)
        before = torch.roll(now, (shift[1], shift[0]), (2, 3))
        found = flow.flow_of(flow.cost(now, before))
        inside = found[:, :, 3:-3, 3:-3]
        told = torch.tensor(shift, dtype=torch.float32)[None, :, None, None].expand_as(inside)
        assert torch.allclose(inside, told, atol=0.05)

    def test_the_matching_network_learns_shifts_it_is_shown(self) -> None:
        torch.manual_seed(6)
        flow = FlowRegression(4, 5, reduced=4, widths=(16, 16, 16, 16, 8))
        optimiser = torch.optim.Adam(flow.parameters(), 4e-3)
        reach = torch.tensor([-2, -1, 0, 1, 2])

        def draw() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
            now = torch.randn(8, 4, 8, 8)
            shifts = reach[torch.randint(5, (8, 2))]
            before = torch.stack([torch.roll(n, (int(s[1]), int(s[0])), (1, 2)) for n, s in zip(now, shifts)])
            return now, before, shifts.float()

        def error() -> torch.Tensor:
            now, before, shifts = draw()
            found = flow(now, before)[1][:, :, 2:-2, 2:-2]
            return (found - shifts[:, :, None, None]).abs().mean()

        with torch.no_grad():
            before_training = float(error())
        for _ in range(120):
            loss = error()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        with torch.no_grad():
            assert float(error()) < 0.6 * before_training

    @pytest.mark.parametrize("side", [7, 12])
    def test_odd_and_even_maps_keep_their_size_and_attention_only_strengthens(self, side: int) -> None:
        flow = FlowRegression(5, 3, reduced=4, widths=(8, 8, 8, 8, 4)).eval()
        now = torch.randn(2, 5, side, side)
        fused, found = flow(now, torch.randn(2, 5, side, side))
        assert fused.shape == now.shape
        assert found.shape == (2, 2, side, side)
        ratio = fused / now
        assert ((ratio >= 1.0 - 1e-4) & (ratio <= 2.0 + 1e-4)).all()
