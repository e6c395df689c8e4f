"""The alerts of the demo: one night in Dortmund, in German, English and Turkish."""
# ruff: noqa: RUF001 - the Turkish dotless i is meant

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from broadcaster.alert import cap_time

SENDER = "leitstelle@feuerwehr.example.org"
ALL_CLEAR = "Das Feuer ist gelöscht. Sie können Fenster und Türen wieder öffnen."

Json = dict[str, Any]

_HOERDE = ("Dortmund-Hörde", "059130000000")
_APLERBECK = ("Dortmund-Aplerbeck", "059130000000")
_HARBOUR = ("Dortmund-Hafen", "059130000000")


def fire(now: datetime) -> Json:
    """Return the Severe alert: a warehouse with chemicals burns."""
    common = _common(now, "Fire", urgency="Immediate", severity="Severe", places=[_HOERDE])
    german = {
        "language": "de",
        "event": "Großbrand",
        "headline": "Großbrand in Dortmund-Hörde: Fenster und Türen schließen",
        "description": "In Hörde brennt eine Lagerhalle mit Chemikalien. "
        "Der Rauch zieht nach Nordosten.",
        "instruction": "Schließen Sie Fenster und Türen. Schalten Sie Lüftungen und Klimaanlagen "
        "aus. Wählen Sie die 112 nur im Notfall.",
    }
    english = {
        "language": "en",
        "event": "Major fire",
        "headline": "Major fire in Dortmund-Hörde: close windows and doors",
        "description": "A warehouse with chemicals is burning in Hörde. "
        "The smoke is drifting north-east.",
        "instruction": "Close windows and doors. Switch off ventilation and air conditioning. "
        "Call 112 in an emergency only.",
    }
    turkish = {
        "language": "tr",
        "event": "Büyük yangın",
        "headline": "Dortmund-Hörde'de büyük yangın: Pencereleri ve kapıları kapatın",
        "description": "Hörde'de kimyasal maddelerin bulunduğu bir depo yanıyor. "
        "Duman kuzeydoğuya doğru ilerliyor.",
        "instruction": "Pencereleri ve kapıları kapatın. Havalandırmaları ve klimaları kapatın. "
        "112'yi yalnızca acil durumlarda arayın.",
    }
    return _alert("Alert", common | german, common | english, common | turkish)


def update(now: datetime, fire_id: str) -> Json:
    """Return the update of the fire: the wind turns, the area grows."""
    places = [_HOERDE, _APLERBECK]
    common = _common(now, "Fire", urgency="Immediate", severity="Severe", places=places)
    german = {
        "language": "de",
        "event": "Großbrand",
        "headline": "Großbrand in Dortmund-Hörde: Rauch jetzt auch über Aplerbeck",
        "description": "Der Wind hat gedreht. Der Rauch zieht jetzt nach Osten über Aplerbeck.",
        "instruction": "Schließen Sie auch in Aplerbeck Fenster und Türen. Schalten Sie Lüftungen "
        "und Klimaanlagen aus.",
    }
    english = {
        "language": "en",
        "event": "Major fire",
        "headline": "Major fire in Dortmund-Hörde: smoke now over Aplerbeck too",
        "description": "The wind has turned. The smoke is now drifting east over Aplerbeck.",
        "instruction": "Close windows and doors in Aplerbeck too. Switch off ventilation and air "
        "conditioning.",
    }
    turkish = {
        "language": "tr",
        "event": "Büyük yangın",
        "headline": "Dortmund-Hörde'de büyük yangın: Duman artık Aplerbeck'i de etkiliyor",
        "description": "Rüzgâr yön değiştirdi. Duman artık doğuya, Aplerbeck üzerine doğru "
        "ilerliyor.",
        "instruction": "Aplerbeck'te de pencereleri ve kapıları kapatın. Havalandırmaları ve "
        "klimaları kapatın.",
    }
    texts = (common | german, common | english, common | turkish)
    return _alert("Update", *texts) | {"references": [fire_id]}


def odour(now: datetime) -> Json:
    """Return the Moderate alert of another incident: a smell in the harbour, no danger."""
    common = _common(now, "Env", urgency="Expected", severity="Moderate", places=[_HARBOUR])
    german = {
        "language": "de",
        "event": "Geruchsbelästigung",
        "headline": "Geruchsbelästigung am Dortmunder Hafen",
        "description": "Aus einem Betrieb am Hafen ist ein unangenehm riechender Stoff "
        "ausgetreten. Die Feuerwehr misst; bisher besteht keine Gefahr für die Gesundheit.",
        "instruction": "Halten Sie Fenster und Türen geschlossen, solange Sie den Geruch "
        "wahrnehmen.",
    }
    english = {
        "language": "en",
        "event": "Bad smell",
        "headline": "Bad smell at Dortmund harbour",
        "description": "A foul-smelling substance has leaked from a plant at the harbour. The "
        "fire brigade is measuring; so far there is no danger to health.",
        "instruction": "Keep windows and doors closed for as long as you notice the smell.",
    }
    turkish = {
        "language": "tr",
        "event": "Kötü koku",
        "headline": "Dortmund limanında kötü koku",
        "description": "Limandaki bir tesisten kötü kokulu bir madde sızdı. İtfaiye ölçüm "
        "yapıyor; şu ana kadar sağlık açısından bir tehlike bulunmuyor.",
        "instruction": "Kokuyu hissettiğiniz sürece pencereleri ve kapıları kapalı tutun.",
    }
    return _alert("Alert", common | german, common | english, common | turkish)


def _alert(msg_type: str, *infos: Json) -> Json:
    return {"status": "Actual", "msgType": msg_type, "sender": SENDER, "info": list(infos)}


def _common(
    now: datetime, category: str, *, urgency: str, severity: str, places: list[tuple[str, str]]
) -> Json:
    return {
        "category": [category],
        "urgency": urgency,
        "severity": severity,
        "certainty": "Observed",
        "expires": cap_time(now + timedelta(hours=3)),
        "senderName": "Feuerwehr Dortmund",
        "area": [
            {"areaDesc": name, "geocode": [{"valueName": "ARS", "value": key}]}
            for name, key in places
        ],
    }
