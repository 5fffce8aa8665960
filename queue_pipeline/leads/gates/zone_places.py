"""Places by their zones, as people name them beside a time: `4 pm in Germany`, `10 am on the East Coast`."""

from types import MappingProxyType

#: Zone -> the places in it, `%` for a space. A place in several zones stands under each.
PLACES = MappingProxyType(
    {
        "America/New_York": "new%york nyc boston miami toronto philadelphia atlanta detroit baltimore "
        "pittsburgh charlotte "
        "orlando ottawa montreal florida ohio michigan virginia massachusetts new%jersey pennsylvania "
        "connecticut east%coast "
        "washington%dc",
        "America/Chicago": "chicago dallas houston austin minneapolis milwaukee nashville memphis kansas%city "
        "st%louis texas "
        "illinois wisconsin minnesota missouri louisiana oklahoma winnipeg midwest",
        "America/Denver": "denver salt%lake%city boulder albuquerque calgary edmonton colorado utah montana "
        "wyoming new%mexico",
        "America/Phoenix": "phoenix arizona tucson scottsdale",
        "America/Los_Angeles": "los%angeles seattle san%francisco san%diego portland sacramento las%vegas "
        "san%jose vancouver "
        "oakland california oregon nevada west%coast bay%area",
        "America/Anchorage": "alaska anchorage",
        "Pacific/Honolulu": "hawaii honolulu",
        "America/Halifax": "halifax nova%scotia",
        "America/Mexico_City": "mexico%city mexico",
        "America/Bogota": "bogota colombia lima peru",
        "America/Sao_Paulo": "sao%paulo rio%de%janeiro brazil",
        "America/Argentina/Buenos_Aires": "buenos%aires argentina",
        "Europe/London": "london manchester edinburgh glasgow birmingham bristol leeds england scotland wales "
        "britain "
        "great%britain united%kingdom the%uk",
        "Europe/Dublin": "dublin cork ireland",
        "Europe/Lisbon": "lisbon porto portugal",
        "Europe/Berlin": "berlin munich hamburg frankfurt cologne stuttgart paris lyon madrid barcelona rome "
        "milan amsterdam "
        "rotterdam brussels vienna zurich geneva copenhagen oslo stockholm prague warsaw budapest germany "
        "france spain "
        "italy netherlands holland belgium austria switzerland denmark norway sweden poland hungary czechia "
        "central%europe western%europe",
        "Europe/Athens": "athens helsinki kyiv bucharest sofia riga vilnius tallinn greece finland ukraine "
        "romania bulgaria "
        "estonia latvia lithuania",
        "Europe/Istanbul": "istanbul ankara turkey",
        "Europe/Moscow": "moscow",
        "Africa/Johannesburg": "johannesburg cape%town south%africa",
        "Africa/Lagos": "lagos nigeria",
        "Africa/Nairobi": "nairobi kenya",
        "Africa/Cairo": "cairo egypt",
        "Asia/Jerusalem": "israel tel%aviv jerusalem",
        "Asia/Dubai": "dubai abu%dhabi emirates uae",
        "Asia/Kolkata": "india mumbai delhi new%delhi bangalore bengaluru hyderabad chennai pune",
        "Asia/Shanghai": "china beijing shanghai shenzhen",
        "Asia/Singapore": "singapore kuala%lumpur malaysia",
        "Asia/Hong_Kong": "hong%kong",
        "Asia/Manila": "manila philippines",
        "Asia/Bangkok": "bangkok thailand",
        "Asia/Tokyo": "tokyo osaka japan",
        "Asia/Seoul": "seoul korea south%korea",
        "Australia/Sydney": "sydney melbourne canberra",
        "Australia/Brisbane": "brisbane queensland",
        "Australia/Perth": "perth",
        "Pacific/Auckland": "auckland wellington new%zealand",
    }
)


def zones_by_place() -> dict[str, tuple[str, ...]]:
    """The names of the zones of each place."""
    found: dict[str, tuple[str, ...]] = {}
    for zone, places in PLACES.items():
        for place in places.split():
            name = place.replace("%", " ")
            found[name] = (*found.get(name, ()), zone)
    return found
