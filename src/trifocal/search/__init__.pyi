from .building import Indexed as Indexed
from .building import index_pictures as index_pictures
from .index import PictureIndex as PictureIndex
from .index import open_index as open_index
from .query import Found as Found
from .query import Hit as Hit
from .query import Query as Query
from .query import search as search
