"""Cards to measure and to look at: the same fire in nine languages, and texts that are hard to set.

Invented from one end to the other; the words are those of the templates.
"""

# ruff: noqa: RUF001 - letters of other alphabets are what this is about

from __future__ import annotations

from dataclasses import replace

from broadcaster.drawing import Spec

SIZES = ((1200, 675), (1080, 1080), (1080, 1350))

_GERMAN = Spec(
    language="de",
    kind="alert",
    severity="Severe",
    category="Fire",
    mark=None,
    level="Gefahr",
    title="Großbrand",
    place="Rheinstadt, Stadtteile Hafen und Altstadt",
    action="Schließen Sie Fenster und Türen. Schalten Sie Lüftung und Klimaanlagen aus.",
    time="Stand 02:49 Uhr, gilt bis 06:00 Uhr",
    source="Feuerwehr Rheinstadt",
    reference="Nr. 26-0142/1",
)

LANGUAGES: dict[str, Spec] = {
    "de": _GERMAN,
    "de-simple": replace(
        _GERMAN,
        language="de-simple",
        level="Achtung: Gefahr!",
        title="Großes Feuer",
        place="Rheinstadt: Hafen und Altstadt",
        action="Machen Sie alle Fenster zu. Machen Sie alle Türen zu. Bleiben Sie im Haus.",
        time="Zeit: 02:49 Uhr. Das gilt bis 06:00 Uhr.",
        source="Von: Feuerwehr Rheinstadt",
        reference="Nummer: 26-0142/1",
    ),
    "en": replace(
        _GERMAN,
        language="en",
        level="Danger",
        title="Major fire",
        place="Rheinstadt, districts Hafen and Altstadt",
        action="Close windows and doors. Switch off ventilation and air conditioning.",
        time="as of 02:49, in force until 06:00",
        source="Rheinstadt Fire Department",
        reference="No. 26-0142/1",
    ),
    "tr": replace(
        _GERMAN,
        language="tr",
        level="Tehlike",
        title="Büyük yangın",
        place="Rheinstadt, Hafen ve Altstadt semtleri",
        action="Pencereleri ve kapıları kapatın. Havalandırmayı ve klimayı kapatın.",
        time="saat 02:49 itibarıyla, geçerlilik bitişi: saat 06:00",
        source="Rheinstadt İtfaiyesi",
        reference="No: 26-0142/1",
    ),
    "ar": replace(
        _GERMAN,
        language="ar",
        level="خطر",
        title="حريق كبير",
        place="Rheinstadt، حيّا Hafen وAltstadt",
        action="أغلقوا النوافذ والأبواب. أوقفوا أجهزة التهوية والتكييف."
        " للاستفسار اتصلوا على 0221 97480-0.",
        time="آخر تحديث: الساعة 02:49، يسري حتى الساعة 06:00",
        source="المصدر: إدارة الإطفاء في Rheinstadt",
        reference="الرقم المرجعي: Nr. 26-0142/1",
    ),
    "uk": replace(
        _GERMAN,
        language="uk",
        level="Небезпека",
        title="Велика пожежа",
        place="Rheinstadt, райони Hafen та Altstadt",
        action="Зачиніть вікна та двері. Вимкніть вентиляцію та кондиціонери."
        " Не під’їжджайте ближче.",
        time="станом на 02:49, діє до 06:00",
        source="Пожежна охорона міста Rheinstadt",
        reference="№ 26-0142/1",
    ),
    "pl": replace(
        _GERMAN,
        language="pl",
        level="Niebezpieczeństwo",
        title="Duży pożar",
        place="Rheinstadt, dzielnice Hafen i Altstadt",
        action="Proszę zamknąć okna i drzwi. Proszę wyłączyć wentylację i klimatyzację.",
        time="stan na godz. 02:49, obowiązuje do godz. 06:00",
        source="Straż Pożarna miasta Rheinstadt",
        reference="Nr 26-0142/1",
    ),
    "ro": replace(
        _GERMAN,
        language="ro",
        level="Pericol",
        title="Incendiu de proporții",
        place="Rheinstadt, cartierele Hafen și Altstadt",
        action="Închideți ferestrele și ușile. Opriți ventilația și aerul condiționat.",
        time="actualizat la ora 02:49, în vigoare până la ora 06:00",
        source="Pompierii din Rheinstadt",
        reference="Nr. 26-0142/1",
    ),
    "ru": replace(
        _GERMAN,
        language="ru",
        level="Опасность",
        title="Крупный пожар",
        place="Rheinstadt, районы Hafen и Altstadt",
        action="Закройте окна и двери. Отключите вентиляцию и кондиционеры.",
        time="по состоянию на 02:49, действует до 06:00",
        source="Пожарная охрана города Rheinstadt",
        reference="№ 26-0142/1",
    ),
}

_LONG_ACTION = (
    "Verlassen Sie sofort den Keller und alle Räume im Erdgeschoss. Gehen Sie in ein höheres"
    " Stockwerk und nehmen Sie Ausweis, Medikamente und ein batteriebetriebenes Radio mit. Betreten"
    " Sie überflutete Straßen und Unterführungen nicht, auch nicht mit dem Auto. Schalten Sie den"
    " Strom in gefährdeten Räumen ab. Helfen Sie älteren Menschen in Ihrem Haus. Wählen Sie 112 nur"
    " in Lebensgefahr. Weitere Hinweise folgen."
)

OTHERS: dict[str, Spec] = {
    "extreme": replace(
        _GERMAN,
        severity="Extreme",
        category="CBRNE",
        level="Extreme Gefahr",
        title="Gefahrstoffaustritt",
        action="Gehen Sie sofort ins Haus. Schließen Sie alle Fenster und Türen.",
    ),
    "warning": replace(
        _GERMAN,
        severity="Moderate",
        category="Met",
        level="Warnung",
        title="Hochwasser an Rhein und Nebenflüssen",
        place="Rheinstadt: Hafen, Altstadt, Neustadt-Süd, Mühlenviertel, Auenwald, Oberbruch,"
        " Niederbruch, Sankt Josef, Fischersiedlung",
        action=_LONG_ACTION,
        time="Stand 26.11.2026, 02:49 Uhr, gilt bis 27.11.2026, 18:00 Uhr",
        source="Amt für Brand- und Katastrophenschutz der Stadt Rheinstadt",
        reference="Nr. 26-0142/2, ersetzt Nr. 26-0142/1",
    ),
    "information": replace(
        _GERMAN,
        severity="Minor",
        category="Infra",
        level="Gefahreninformation",
        title="Stromausfall",
        action="Nutzen Sie Taschenlampen statt Kerzen. Halten Sie Kühlschränke geschlossen.",
    ),
    "all-clear": replace(
        _GERMAN,
        kind="all-clear",
        level="Entwarnung",
        action="Die Warnung ist aufgehoben.",
        time="Stand 05:12 Uhr",
        reference="Nr. 26-0142/3, hebt Nr. 26-0142/2 auf",
    ),
    "exercise": replace(
        _GERMAN,
        mark="ÜBUNG",
        note="Dies ist eine Übung. Es besteht keine Gefahr.",
    ),
    "long-words": replace(
        _GERMAN,
        category="Transport",
        title="Donaudampfschifffahrtsgesellschaftskapitänspatentprüfungshavarie",
        place="Rheinstadt, Rindfleischetikettierungsüberwachungsaufgabenübertragungsgesetzstraße",
        action="Meiden Sie den Grundstücksverkehrsgenehmigungszuständigkeits"
        "übertragungsverordnungsplatz.",
        mark="PROBEWARNUNG",
        note="Dies ist eine Probewarnung. Es besteht keine Gefahr.",
    ),
}
