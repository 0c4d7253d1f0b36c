"""The proof of an import knows nothing of what imports, so that no fault of that can be one of the proof."""

import grimp

PROOF = "rehome.importing.proof"
DECLARED = "rehome.importing.declaration"


def test_the_proof_imports_nothing_of_an_import_but_its_declaration() -> None:
    graph = grimp.build_graph("rehome", cache_dir=None)
    proof = {PROOF, *graph.find_descendants(PROOF)}
    used = {module for one in proof for module in graph.find_upstream_modules(one)}
    assert {module for module in used if module.startswith("rehome.importing.")} - proof == {DECLARED}
    assert "rehome.importing.proof.source" in proof
